"""Rotating, revoking, disabling and enabling in the admin, one key or many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time
from pytest_django import DjangoCaptureOnCommitCallbacks

from pikku_auth import signals
from pikku_auth.admin import actions as acts_module
from pikku_auth.flows import IssuedKey, create_service_user, disable_key, mint_key, revoke_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import (
    KEYS,
    SECRET,
    act,
    call,
    html_of,
    many_keys,
    messages_of,
    reports_of,
    rotate,
    use,
)

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
READ = ["sandbox:read"]


@pytest.fixture
def keeper(staff: Staff) -> Client:
    return staff("view_apikey", "mint_apikey", "revoke_apikey", "grant_any_scope")


def secrets_in(response: Any) -> list[str]:
    return SECRET.findall(html_of(response))


class TestRevoking:
    """It ends keys for good, from the next request on."""

    def test_the_page_asks_first_and_says_when_each_was_used_last(
        self, keeper: Client, mint: Mint
    ) -> None:
        used, unused = mint(name="used").key, mint(name="unused").key
        APIKey.objects.filter(pk=used.pk).update(last_used_at=timezone.now() - timedelta(hours=3))
        html = html_of(keeper.get(f"{KEYS}act/revoke/?ids={used.pk},{unused.pk}"))
        assert "Revoke 2 API keys of sandbox-runtime?" in html
        assert "3\xa0hours ago" in html
        assert "never" in html
        assert not APIKey.objects.exclude(revoked_at=None).exists()

    def test_the_list_leads_to_the_same_page(self, keeper: Client, mint: Mint) -> None:
        first, second = mint().key, mint().key
        chosen = {"action": "revoke", "_selected_action": [first.pk, second.pk]}
        assert "Revoke 2 API keys of sandbox-runtime?" in html_of(keeper.post(KEYS, chosen))

    def test_the_page_says_of_how_many_service_users_the_keys_are(
        self, keeper: Client, mint: Mint
    ) -> None:
        """A search for ``svc-1`` finds ``svc-10`` as well, and “all” are the keys of both."""
        for name in ("svc-1", "svc-1", "svc-10"):
            machine = ServiceUser.objects.filter(name=name).first() or create_service_user(name)
            mint_key(machine)
        mint()
        chosen = {"select_across": 1, "_selected_action": 1}
        for query, of in (("svc-10", "1 API key of svc-10"), ("svc-1", "3 API keys of 2 service")):
            for name in ("rotate", "revoke", "disable"):
                asked = keeper.post(f"{KEYS}?q={query}", {**chosen, "action": name})
                assert asked.context["title"].startswith(f"{name.capitalize()} {of}")

    def test_the_page_counts_those_that_it_will_be_done_to(
        self, keeper: Client, mint: Mint
    ) -> None:
        revoked, first, second = (mint(name=name).key for name in ("over", "first", "second"))
        revoke_key(revoked)
        html = html_of(keeper.get(f"{KEYS}act/revoke/?ids={revoked.pk},{first.pk},{second.pk}"))
        assert "Revoke 2 API keys of sandbox-runtime?" in html
        assert "over" not in html[html.index("<tbody>") :]
        assert "1 more was chosen, to which this can" in html

    def test_there_is_no_page_for_none(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        revoke_key(key)
        response = keeper.get(f"{KEYS}act/revoke/?ids={key.pk}")
        assert response["Location"] == KEYS
        assert messages_of(response) == ["That can't be done to any of the rows that you chose."]

    def test_the_list_is_filtered_afterwards_as_it_was_before(
        self, keeper: Client, mint: Mint
    ) -> None:
        key, query = mint(name="ci").key, "state=active&q=ci"
        asked = keeper.post(f"{KEYS}?{query}", {"action": "revoke", "_selected_action": key.pk})
        assert asked.context["back"] == query
        assert f'href="{KEYS}?state=active&amp;q=ci" class="closelink"' in html_of(asked)
        assert act(keeper, "revoke", key, back=query)["Location"] == f"{KEYS}?{query}"

    @pytest.mark.parametrize(
        "back", ["//evil.example", "https://evil.example/", "a\nSet-Cookie: x"]
    )
    def test_and_is_no_way_to_elsewhere(self, keeper: Client, mint: Mint, back: str) -> None:
        location = act(keeper, "revoke", mint().key, back=back)["Location"]
        assert location.startswith(f"{KEYS}?")
        assert "\n" not in location

    @pytest.mark.parametrize("count", [50, 1_000])
    def test_the_page_costs_the_same_for_a_thousand(
        self, keeper: Client, service_user: ServiceUser, django_assert_num_queries: Any, count: int
    ) -> None:
        keeper.get(KEYS)
        ids = ",".join(str(key.pk) for key in many_keys(service_user, count))
        with django_assert_num_queries(5):
            html = html_of(keeper.get(f"{KEYS}act/revoke/", {"ids": ids}))
        assert f"Revoke {count} API keys of sandbox-runtime?" in html

    def test_a_thousand_cost_four_statements_each(
        self, keeper: Client, service_user: ServiceUser, django_assert_max_num_queries: Any
    ) -> None:
        """A transaction with the change and its audit row; what Django logs comes together."""
        keys = many_keys(service_user, 1_000)
        with django_assert_max_num_queries(4_020):
            act(keeper, "revoke", *keys)
        assert LogEntry.objects.count() == 1_000

    def test_fifty_at_once_are_refused_from_the_next_request_on(
        self, keeper: Client, mint: Mint
    ) -> None:
        issued = [mint(scopes=READ) for _ in range(50)]
        assert {use(one) for one in issued} == {200}
        response = act(keeper, "revoke", *(one.key for one in issued), reason="leaked")
        assert messages_of(response) == ["Revoked 50 keys."]
        assert {use(one) for one in issued} == {401}

    def test_it_goes_through_the_verb(
        self,
        keeper: Client,
        mint: Mint,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        key, heard = mint().key, []

        def hear(**payload: Any) -> None:
            heard.append((payload["reason"], payload["context"].source))

        signals.key_revoked.connect(hear)
        with django_capture_on_commit_callbacks(execute=True):
            act(keeper, "revoke", key, reason="found in a log")
        signals.key_revoked.disconnect(hear)
        assert heard == [("found in a log", "admin")]
        event = AuditEvent.objects.get(action="key_revoked")
        assert (event.source, event.ip, event.details) == (
            "admin",
            "127.0.0.1",
            {"reason": "found in a log"},
        )
        assert LogEntry.objects.get().change_message == "Revoked."

    def test_one_that_was_revoked_is_not_counted(self, keeper: Client, mint: Mint) -> None:
        old, new = mint().key, mint().key
        revoke_key(old, reason="before")
        assert messages_of(act(keeper, "revoke", old, new)) == ["Revoked 1 key."]
        old.refresh_from_db()
        assert old.revoke_reason == "before"

    @pytest.mark.parametrize("reason", ["x" * 201, "for\u202ewards"])
    def test_a_reason_has_at_most_200_printable_characters(
        self, keeper: Client, mint: Mint, reason: str
    ) -> None:
        key = mint().key
        response = act(keeper, "revoke", key, reason=reason)
        assert list(response.context["form"].errors) == ["reason"]
        key.refresh_from_db()
        assert key.revoked_at is None


class TestDisabling:
    """It stops keys until they are enabled."""

    def test_a_disabled_key_is_refused_and_an_enabled_one_works_again(
        self, keeper: Client, mint: Mint
    ) -> None:
        issued = mint(scopes=READ)
        act(keeper, "disable", issued.key)
        assert use(issued) == 401
        done = act(keeper, "enable", issued.key)
        assert messages_of(done) == ["Disabled 1 key.", "Enabled 1 key."]
        assert use(issued) == 200
        done = ["key_disabled", "key_enabled"]
        assert [*AuditEvent.objects.order_by("pk").values_list("action", flat=True)][-2:] == done

    def test_enabling_does_not_revive_a_revoked_key(self, keeper: Client, mint: Mint) -> None:
        issued = mint(scopes=READ)
        disable_key(issued.key)
        revoke_key(issued.key)
        assert messages_of(act(keeper, "enable", issued.key)) == ["Enabled 0 keys."]
        assert use(issued) == 401


class TestRotating:
    """Each gets a successor, whose secret is shown once."""

    def test_with_an_overlap_both_work_and_then_only_the_new_one(
        self, keeper: Client, mint: Mint
    ) -> None:
        issued = mint(scopes=READ)
        (secret,) = secrets_in(rotate(keeper, issued.key, overlap="1h"))
        assert (use(issued), call(Client(), secret)) == (200, 200)
        with freeze_time(timezone.now() + timedelta(hours=1, seconds=1)):
            assert (use(issued), call(Client(), secret)) == (401, 200)

    def test_at_once_only_the_new_one_works(self, keeper: Client, mint: Mint) -> None:
        issued = mint(scopes=READ)
        (secret,) = secrets_in(rotate(keeper, issued.key, overlap="now"))
        assert (use(issued), call(Client(), secret)) == (401, 200)

    def test_at_once_wants_the_permission_to_revoke(self, staff: Staff, mint: Mint) -> None:
        minter = staff("view_apikey", "mint_apikey", "grant_any_scope")
        issued = mint(scopes=READ)
        response = rotate(minter, issued.key, overlap="now")
        assert list(response.context["form"].errors) == ["overlap"]
        assert 'value="now"' not in html_of(minter.get(f"{KEYS}act/rotate/?ids={issued.key.pk}"))
        assert use(issued) == 200

    def test_django_logs_it_too(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        rotate(keeper, key)
        entry = LogEntry.objects.get()
        assert (entry.object_id, entry.change_message) == (str(key.pk), "Rotated.")

    def test_many_are_shown_on_one_page(self, keeper: Client, mint: Mint) -> None:
        keys = [mint(scopes=READ).key for _ in range(3)]
        response = rotate(keeper, *keys)
        secrets = secrets_in(response)
        assert "no-store" in response["Cache-Control"]
        assert [call(Client(), secret) for secret in secrets] == [200, 200, 200]

    def test_a_page_is_no_place_for_a_second_look(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        rotate(keeper, key)
        again = rotate(keeper, key)
        assert not secrets_in(again)
        assert "was rotated already" in html_of(again)
        assert "Rotate 1 API key of sandbox-runtime?" in html_of(again)
        assert APIKey.objects.count() == 2

    def test_one_that_can_not_be_rotated_is_named_beside_the_others(
        self, keeper: Client, mint: Mint
    ) -> None:
        dead, live = mint(name="dead").key, mint(name="live").key
        revoke_key(dead)
        response = rotate(keeper, dead, live)
        assert len(secrets_in(response)) == 1
        assert "is revoked, and only a live key can be rotated" in html_of(response)

    def test_if_none_can_be_nothing_changes(self, keeper: Client, mint: Mint) -> None:
        dead = mint().key
        revoke_key(dead)
        response = rotate(keeper, dead)
        assert "only a live key can be rotated" in html_of(response)
        assert not secrets_in(response)
        assert APIKey.objects.count() == 1

    def test_of_an_owner_with_more_rights_it_is_refused(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        key.service_user.user.user_permissions.add(Permission.objects.get(codename="delete_group"))
        response = rotate(keeper, key)
        assert "may do what you may not (auth.delete_group)" in html_of(response)
        assert APIKey.objects.count() == 1

    def test_a_page_that_fails_leaves_the_old_key_as_it_was(
        self, keeper: Client, mint: Mint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken(Exception):
            pass

        def fail(*_: Any, **__: Any) -> None:
            raise Broken

        issued = mint(scopes=READ)
        monkeypatch.setattr("pikku_auth.admin.key_actions.page_with", fail)
        with pytest.raises(Broken):
            rotate(keeper, issued.key, overlap="now")
        assert use(issued) == 200
        assert APIKey.objects.count() == 1
        assert not AuditEvent.objects.filter(action="key_rotated").exists()

    def test_a_template_that_fails_late_reports_no_secret(
        self, keeper: Client, mint: Mint, settings: Any, tmp_path: Path
    ) -> None:
        """A loop that fails at its second key has rendered the first, and a report shows that."""
        page = tmp_path / "admin" / "pikku_auth" / "issued.html"
        page.parent.mkdir(parents=True)
        page.write_text(
            "{% for one in issued %}{{ one.mark }}{{ one.secret.reveal }}"
            "{% if forloop.last %}{% include 'nowhere.html' %}{% endif %}{% endfor %}"
        )
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
        keys = [mint().key for _ in range(2)]
        with reports_of(keeper) as reports:
            assert rotate(keeper, *keys).status_code == 500
        (report,) = reports
        assert "nowhere.html" in report
        assert not SECRET.search(report)


class TestTheButtons:
    """On the page of a key there is a button for what can be done to it, and no other."""

    @pytest.mark.parametrize(
        ("make", "buttons"),
        [
            (lambda key: None, {"rotate", "revoke", "disable"}),
            (disable_key, {"revoke", "enable"}),
            (revoke_key, set()),
        ],
    )
    def test_are_for_what_a_key_is_now(
        self, keeper: Client, mint: Mint, make: Callable[[APIKey], object], buttons: set[str]
    ) -> None:
        key = mint().key
        make(key)
        html = html_of(keeper.get(f"{KEYS}{key.pk}/change/"))
        offered = {
            name for name in ("rotate", "revoke", "disable", "enable") if f"act/{name}/" in html
        }
        assert offered == buttons

    def test_a_rotated_key_is_not_offered_to_be_rotated(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        rotate(keeper, key)
        assert "act/rotate/" not in html_of(keeper.get(f"{KEYS}{key.pk}/change/"))


class TestNonsense:
    """It is answered, and changes nothing."""

    def test_an_act_that_there_is_not(self, keeper: Client, mint: Mint) -> None:
        assert act(keeper, "explode", mint().key).status_code == 404

    @pytest.mark.parametrize("ids", ["x", "1,x", "1;2", "1.5", "-1", "9" * 30, "\0"])
    def test_ids_that_are_none(self, keeper: Client, ids: str) -> None:
        assert keeper.get(f"{KEYS}act/revoke/", {"ids": ids}).status_code == 404

    @pytest.mark.parametrize("ids", ["", ",", "999999"])
    def test_ids_of_no_row(self, keeper: Client, ids: str) -> None:
        response = keeper.get(f"{KEYS}act/revoke/", {"ids": ids})
        assert response.status_code == 302
        assert messages_of(response) == ["Choose a row."]

    def test_too_many(self, keeper: Client, mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is said how many those are, and the list is filtered as before."""
        monkeypatch.setattr(acts_module, "MOST", 2)
        for _ in range(3):
            mint()
        chosen = {"action": "revoke", "select_across": 1, "_selected_action": 1}
        response = keeper.post(f"{KEYS}?state=active", chosen)
        assert response["Location"] == f"{KEYS}?state=active"
        (told,) = messages_of(response)
        assert told.startswith("You chose 3 rows, and at most 2 go at once: narrow the list")
        assert not APIKey.objects.exclude(revoked_at=None).exists()

    def test_looking_does_nothing(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        for name in ("rotate", "revoke", "disable", "enable"):
            keeper.get(f"{KEYS}act/{name}/", {"ids": key.pk, "confirm": "yes", "overlap": "now"})
        key.refresh_from_db()
        assert (key.revoked_at, key.rotated_at, key.enabled) == (None, None, True)

    def test_a_page_of_elsewhere_can_not_press_the_button(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = keeper.cookies
        assert act(strict, "revoke", key).status_code == 403

    def test_the_keys_of_others_are_not_touched(self, keeper: Client, mint: Mint) -> None:
        other = mint_key(create_service_user("builder"), scopes=READ)
        act(keeper, "revoke", mint().key)
        assert use(other) == 200

    def test_more_ids_than_a_database_takes_at_once(self, keeper: Client, mint: Mint) -> None:
        key = mint().key
        ids = ",".join(str(key.pk + number) for number in range(300_000))
        response = keeper.post(f"{KEYS}act/revoke/", {"ids": ids, "confirm": "yes"})
        assert messages_of(response) == ["Revoked 1 key."]
