"""Minting in the admin: a form that explains itself, and a secret that is shown once."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connections
from django.template.loader import get_template
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.core.delegation import Delegation
from pikku_auth.core.permissions import AUTH_ACTIONS
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    create_service_user,
    deactivate_service_user,
    set_service_user_scopes,
)
from pikku_auth.flows.privileges import require_covers
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import (
    KEYS,
    MINT,
    SECRET,
    SERVICE_USERS,
    call,
    form_id,
    html_of,
    messages_of,
    mint,
)
from tests.conftest import dump_of_tables, pikku_settings
from tests.logins import browser_of
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db


@pytest.fixture
def minter(staff: Staff) -> Client:
    return staff("mint_apikey", "view_apikey", "view_serviceuser", "grant_any_scope")


def secret_in(response: Any) -> str:
    found = SECRET.findall(html_of(response))
    assert len(found) == 1, "the secret is on the page once"
    return str(found[0])


def test_a_minted_key_works(minter: Client, service_user: ServiceUser) -> None:
    response = mint(minter, service_user, name="production", scopes=["sandbox:read"])
    assert response.status_code == 200
    assert call(Client(), secret_in(response)) == 200


def test_it_is_as_the_form_says(minter: Client, service_user: ServiceUser) -> None:
    mint(
        minter,
        service_user,
        name="production",
        scopes=["sandbox:read", "sandbox:write"],
        more_scopes="perm:auth.view_group\n",
        expires_in="7d",
        networks="192.0.2.0/24\n2001:db8::/32",
        rate="100/m",
        quota="50",
        refill="1000/1d",
        metadata='{"sandbox": "b2f7"}',
    )
    key = APIKey.objects.get()
    assert (key.name, key.service_user) == ("production", service_user)
    assert sorted(key.scopes) == ["perm:auth.view_group", "sandbox:read", "sandbox:write"]
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == timedelta(days=7)
    assert key.networks == ["192.0.2.0/24", "2001:db8::/32"]
    assert (str(key.rate), key.remaining, str(key.refill)) == ("100/m", 50, "1000/d")
    assert key.metadata == {"sandbox": "b2f7"}


def test_it_is_audited_with_who_and_from_where(minter: Client, service_user: ServiceUser) -> None:
    mint(minter, service_user)
    event = AuditEvent.objects.get(action="key_minted")
    assert (event.source, event.ip, event.actor) == (
        "admin",
        "127.0.0.1",
        APIKey.objects.get().created_by,
    )
    assert event.actor_name.startswith("staff")
    assert LogEntry.objects.get().object_id == str(APIKey.objects.get().pk)


def test_the_page_says_how_to_try_it(minter: Client, service_user: ServiceUser) -> None:
    html = html_of(mint(minter, service_user))
    assert 'curl -H "x-api-key: $PIKKU_API_KEY" http://testserver/auth/whoami</pre>' in html
    assert "read -rs PIKKU_API_KEY" in html
    assert "It says whose key it is" in html


@pytest.mark.urls("tests.admin.unmounted")
def test_where_our_urls_are_not_mounted_it_asks_for_an_address(
    minter: Client, service_user: ServiceUser
) -> None:
    html = html_of(mint(minter, service_user))
    assert "http://testserver/</pre>" in html
    assert "put any address of your API" in html


class TestTheSecretIsShownOnce:
    """In the answer to the POST, and nowhere else."""

    def test_nobody_may_keep_the_page(self, minter: Client, service_user: ServiceUser) -> None:
        response = mint(minter, service_user)
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "no-referrer"

    def test_it_is_in_no_cookie_no_session_and_no_table(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        secret = secret_in(mint(minter, service_user))
        cookies = repr(minter.cookies)
        sessions = [session.get_decoded() for session in Session.objects.all()]
        for place in (cookies, repr(sessions), dump_of_tables()):
            assert secret not in place

    @pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "{pk}/history/"])
    def test_no_later_page_has_it(
        self, minter: Client, service_user: ServiceUser, page: str
    ) -> None:
        mint(minter, service_user)
        later = minter.get(KEYS + page.format(pk=APIKey.objects.get().pk), follow=True)
        assert later.status_code == 200
        assert not SECRET.search(html_of(later))

    def test_a_session_that_can_not_be_saved_undoes_the_key(
        self, minter: Client, service_user: ServiceUser, settings: Any, monkeypatch: Any
    ) -> None:
        """The middleware would save it after the commit, and show an error in place of the key."""

        def fail(*_: Any, **__: Any) -> None:
            raise UpdateError

        settings.SESSION_SAVE_EVERY_REQUEST = True
        sent = form_id(minter)
        with monkeypatch.context() as patch:
            patch.setattr(SessionStore, "save", fail)
            assert mint(minter, service_user, form_id=sent).status_code == 400
        assert not APIKey.objects.exists()
        assert secret_in(mint(minter, service_user, form_id=sent))

    def test_reloading_mints_no_other(self, minter: Client, service_user: ServiceUser) -> None:
        sent = form_id(minter)
        mint(minter, service_user, form_id=sent)
        again = mint(minter, service_user, form_id=sent)
        assert again.status_code == 302
        assert messages_of(again) == [
            "That form was sent before, and its key was minted and shown then."
        ]
        assert APIKey.objects.count() == 1

    @pytest.mark.parametrize("sent", ["", "x", "x" * 10_000, "ü:ü", "\0"])
    def test_a_form_that_is_none_of_ours_mints_nothing(
        self, minter: Client, service_user: ServiceUser, sent: str
    ) -> None:
        again = mint(minter, service_user, form_id=sent, name="production")
        assert "Please send it again." in html_of(again)
        assert 'value="production"' in html_of(again)
        assert not APIKey.objects.exists()

    def test_nor_does_that_of_somebody_else(
        self, minter: Client, superuser: Client, service_user: ServiceUser
    ) -> None:
        mint(minter, service_user, form_id=form_id(superuser))
        assert not APIKey.objects.exists()

    def test_nor_does_one_that_was_open_for_half_a_day(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        with freeze_time(timezone.now() - timedelta(hours=12, seconds=2)):
            sent = form_id(minter)
        mint(minter, service_user, form_id=sent)
        assert not APIKey.objects.exists()

    def test_a_page_that_fails_undoes_the_key(
        self, minter: Client, service_user: ServiceUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken(Exception):
            pass

        def fail(*_: Any, **__: Any) -> str:
            raise Broken

        sent = form_id(minter)
        page = get_template("admin/pikku_auth/issued.html").template  # type: ignore[attr-defined]
        monkeypatch.setattr(type(page), "_render", fail)
        with pytest.raises(Broken):
            mint(minter, service_user, form_id=sent)
        assert not APIKey.objects.exists()
        assert not AuditEvent.objects.filter(action="key_minted").exists()


@pytest.mark.django_db(transaction=True)
def test_a_form_that_is_sent_twice_at_once_mints_one_key(make_user: Any) -> None:
    owner, together = create_service_user("sandbox-runtime"), threading.Barrier(4, timeout=PATIENCE)
    browsers = [browser_of(make_user("root", is_staff=True, is_superuser=True))]
    sent = form_id(browsers[0])
    for _ in range(3):
        browsers.append(Client())
        browsers[-1].cookies = browsers[0].cookies

    def send(browser: Client) -> int:
        together.wait()
        try:
            return mint(browser, owner, form_id=sent).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, browsers)) == [200, 302, 302, 302]
    assert APIKey.objects.count() == 1


@pytest.mark.usefixtures("service_user")
class TestTheForm:
    """What it offers, and how it says what is wrong."""

    def test_a_declared_vocabulary_is_a_list_of_boxes(self, minter: Client) -> None:
        html = html_of(minter.get(MINT))
        for scope in ("sandbox:read", "sandbox:write", "sandbox:*"):
            assert f'type="checkbox" name="scopes" value="{scope}"' in html

    def test_without_one_scopes_are_typed(self, minter: Client, service_user: ServiceUser) -> None:
        with pikku_settings(SCOPES=None):
            assert 'name="scopes"' not in html_of(minter.get(MINT))
            mint(minter, service_user, more_scopes="anything:goes other:thing")
        assert sorted(APIKey.objects.get().scopes) == ["anything:goes", "other:thing"]

    def test_a_link_may_fill_in_the_service_user_and_the_name(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        given = {"service_user": service_user.pk, "name": "production"}
        html = html_of(minter.get(MINT, given))
        assert f'<option value="{service_user.pk}" selected>sandbox-runtime</option>' in html
        assert 'value="production"' in html

    def test_a_link_fills_in_nothing_that_a_key_may_do(self, minter: Client) -> None:
        """Least of all in the part that is folded away."""
        given = {"metadata": '{"a": "planted"}', "more_scopes": "planted:x", "rate": "planted"}
        # A theme may have the address somewhere on the page.
        _, _, form = html_of(minter.get(MINT, given)).partition('class="pikku-once"')
        assert 'name="metadata"' in form
        assert "planted" not in form.partition("</form>")[0]

    def test_it_loads_no_list_of_service_users(self, minter: Client) -> None:
        for number in range(30):
            create_service_user(f"machine-{number}")
        assert "machine-7" not in html_of(minter.get(MINT))

    def test_the_hosts_default_comes_first(self, minter: Client) -> None:
        with pikku_settings(DEFAULT_KEY_LIFETIME=timedelta(hours=36)):
            html = html_of(minter.get(MINT))
        assert html.index('value="1d12h"') < html.index('value="1d"') < html.index('value="never"')

    def test_a_host_whose_keys_live_for_ever_is_offered_never_first(self, minter: Client) -> None:
        with pikku_settings(DEFAULT_KEY_LIFETIME=None):
            html = html_of(minter.get(MINT))
        assert html.index('value="never"') < html.index('value="1d"')

    def test_nothing_longer_than_the_host_allows_is_offered(self, minter: Client) -> None:
        with pikku_settings(MAX_KEY_LIFETIME=timedelta(days=30)):
            html = html_of(minter.get(MINT))
        assert 'value="30d"' in html
        for value in ("90d", "365d", "never"):
            assert f'value="{value}"' not in html

    def test_never_is_never(self, minter: Client, service_user: ServiceUser) -> None:
        mint(minter, service_user, expires_in="never")
        assert APIKey.objects.get().expires_at is None

    def test_another_lifetime_may_be_typed(self, minter: Client, service_user: ServiceUser) -> None:
        mint(minter, service_user, expires_in="custom", custom_lifetime="12h")
        expires_at = APIKey.objects.get().expires_at
        assert expires_at is not None
        assert timedelta(hours=11) < expires_at - timezone.now() < timedelta(hours=13)

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("name", "x" * 201, "at most 200"),
            ("name", "two\u200blines", "Leave out U+200B"),
            ("scopes", "sandbox:fly", "not one of the available choices"),
            ("more_scopes", "nonsense", "is not a scope"),
            ("more_scopes", "sandbox:fly", "Unknown scope"),
            ("expires_in", "1s", "not one of the available choices"),
            ("networks", "192.0.2.1/24", "did you mean 192.0.2.0/24?"),
            ("rate", "often", "is not a"),
            ("quota", "0", "greater than or equal to 1"),
            ("quota", "99999999999", "must be from 1"),
            ("refill", "1/d!", "is not a"),
            ("refill", "10/1d", "A refill needs a quota"),
            ("metadata", "[1]", "object"),
            ("metadata", "{", "JSON"),
            ("metadata", '{"a": NaN}', "NaN"),
            ("metadata", '{"a": 1, "a": 2}', "twice"),
            ("metadata", '{"a": "' + "x" * 5000 + '"}', "4"),
            ("service_user", "999999", "valid choice"),
            ("service_user", "x", "valid choice"),
            ("service_user", "9" * 30, "valid choice"),
            ("service_user", "", "required"),
        ],
    )
    def test_what_is_wrong_is_said_where_it_is(
        self, minter: Client, service_user: ServiceUser, field: str, value: str, says: str
    ) -> None:
        response = mint(minter, service_user, **{field: value})
        form = response.context["adminform"].form
        assert list(form.errors) == [field]
        assert says in str(form.errors[field])
        assert not APIKey.objects.exists()

    def test_all_that_is_wrong_is_said_at_once(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        wrong = {"more_scopes": "nonsense", "networks": "x", "rate": "often", "refill": "1/d"}
        wrong |= {"metadata": "{", "expires_in": "custom", "custom_lifetime": "soon"}
        errors = mint(minter, service_user, **wrong, name="two\u200blines").context["errors"]
        assert sorted(errors) == sorted({*wrong, "name"} - {"expires_in"})

    def test_but_nothing_that_only_follows_from_it(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        response = mint(minter, service_user, quota="x", refill="1/d")
        assert list(response.context["errors"]) == ["quota"]

    @pytest.mark.parametrize(("typed", "says"), [("", "Say how long"), ("soon", "duration")])
    def test_another_lifetime_has_to_be_one(
        self, minter: Client, service_user: ServiceUser, typed: str, says: str
    ) -> None:
        response = mint(minter, service_user, expires_in="custom", custom_lifetime=typed)
        assert says in str(response.context["adminform"].form.errors["custom_lifetime"])

    def test_longer_than_the_host_allows_is_refused_where_it_was_typed(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        with pikku_settings(MAX_KEY_LIFETIME=timedelta(days=30)):
            response = mint(minter, service_user, expires_in="custom", custom_lifetime="31d")
        assert "at most 30d" in str(response.context["adminform"].form.errors["expires_in"])

    def test_scopes_typed_without_a_vocabulary_are_judged_where_they_are(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        with pikku_settings(SCOPES=None):
            response = mint(minter, service_user, more_scopes="nonsense")
        assert list(response.context["adminform"].form.errors) == ["more_scopes"]

    def test_what_only_the_row_knows_can_not_be_sent(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        """As CVE-2025-61928 was: an owner, or a right, by a field of the body."""
        given = {"digest": "0" * 64, "preview": "x", "revoked_at": "2026-01-01", "created_by": 1}
        given |= {"user": 1, "owner": 1, "permissions": '{"*": ["*"]}', "enabled": "", "id": 77}
        mint(minter, service_user, **given)
        key = APIKey.objects.get()
        assert key.pk != 77
        assert (key.enabled, key.revoked_at, key.scopes) == (True, None, [])
        assert key.preview.startswith("pka_")


class TestANewInstall:
    """Where nothing can be minted yet, the page says what is missing instead of asking."""

    def test_without_service_users_it_offers_to_add_one(
        self, staff: Staff, service_user: ServiceUser
    ) -> None:
        minter = staff("mint_apikey", "view_serviceuser", "add_serviceuser")
        link = f'<a href="{SERVICE_USERS}add/" class="button default">Add a service user</a>'
        assert link not in html_of(minter.get(MINT))
        service_user.delete()
        html = html_of(minter.get(MINT))
        assert "there is none yet" in html
        assert link in html
        assert '<form method="post" class="pikku-once"' not in html
        assert link in html_of(minter.post(MINT, {}))

    @pytest.mark.parametrize(
        ("permissions", "manages", "words"),
        [
            (["mint_apikey", "view_serviceuser"], True, "Ask somebody who may add service users."),
            (["mint_apikey"], True, "you may not see those"),
            (["mint_apikey", "view_serviceuser"], False, "you manage none"),
        ],
    )
    def test_who_can_not_add_one_is_told_why(
        self, staff: Staff, permissions: list[str], manages: bool, words: str
    ) -> None:
        if not manages:
            create_service_user("of-others")
        minter = staff(*permissions)
        with pikku_settings(MAY_MANAGE=None if manages else "tests.admin.test_minting.nobody"):
            html = html_of(minter.get(MINT))
        assert words in html
        assert "Add a service user" not in html


def nobody(_user: Any, _service_user: ServiceUser) -> bool:
    return False


class TestWhoMayMint:
    """Whoever sees the secret can do what its owner may."""

    def test_for_an_owner_with_more_rights_it_is_refused(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        right = Permission.objects.get(codename="delete_group")
        service_user.user.user_permissions.add(right)  # type: ignore[union-attr]
        response = mint(minter, service_user)
        wrong = str(response.context["adminform"].form.errors["service_user"])
        assert f"may do what you may not ({right.content_type.app_label}.{right.codename})" in wrong
        assert not APIKey.objects.exists()

    def test_an_owner_whose_model_knows_no_permissions_has_none(
        self, make_user: Any, service_user: ServiceUser
    ) -> None:
        """A user model without PermissionsMixin; staff of one may still say what they may."""

        class Plain:
            def has_perm(self, perm: str) -> bool:
                return perm == "auth.view_group"

        owner: Any = ServiceUser(name="x")
        owner._state.fields_cache["user"] = Plain()
        require_covers(Plain(), owner)
        service_user.user.user_permissions.add(  # type: ignore[union-attr]
            Permission.objects.get(codename="view_group")
        )
        require_covers(Plain(), service_user)
        with pytest.raises(InvalidInput):
            require_covers(AnonymousUser(), service_user)

    def test_with_the_same_rights_it_is_not(
        self, minter: Client, service_user: ServiceUser, django_user_model: Any
    ) -> None:
        right = Permission.objects.get(codename="mint_apikey")
        service_user.user.user_permissions.add(right)  # type: ignore[union-attr]
        assert SECRET.search(html_of(mint(minter, service_user)))

    def test_a_superuser_may_always(self, superuser: Client, service_user: ServiceUser) -> None:
        service_user.user.user_permissions.set(Permission.objects.all())  # type: ignore[union-attr]
        assert SECRET.search(html_of(mint(superuser, service_user)))

    def test_many_rights_are_not_all_named(self, minter: Client, service_user: ServiceUser) -> None:
        service_user.user.user_permissions.set(Permission.objects.all())  # type: ignore[union-attr]
        errors = mint(minter, service_user).context["adminform"].form.errors
        assert ", …)" in str(errors["service_user"])

    def test_an_inactive_owner_gets_none(self, minter: Client, service_user: ServiceUser) -> None:
        deactivate_service_user(service_user)
        errors = mint(minter, service_user).context["adminform"].form.errors
        assert "inactive" in str(errors["service_user"])


@pytest.mark.parametrize("page", ["", "add/"])
def test_the_pages_speak_german(minter: Client, settings: Any, page: str) -> None:
    settings.LANGUAGE_CODE = "de"
    assert "API-Schlüssel" in html_of(minter.get(KEYS + page))


class TestManagingKeys:
    """A key that manages keys: what it may do with them, and for whom."""

    @pytest.fixture
    def builder(self, db: None) -> ServiceUser:
        return create_service_user("builder")

    @pytest.mark.parametrize("vocabulary", [None, {"sandbox": ["read"]}])
    def test_its_scopes_are_offered_whatever_a_host_declares(
        self, minter: Client, service_user: ServiceUser, vocabulary: Any
    ) -> None:
        with pikku_settings(SCOPES=vocabulary):
            html = html_of(minter.get(MINT))
            mint(minter, service_user, auth_scopes=["auth:mint", "auth:rotate"])
        for action in AUTH_ACTIONS:
            assert f'type="checkbox" name="auth_scopes" value="auth:{action}"' in html
        key = APIKey.objects.get()
        assert (key.scopes, key.delegation) == (["auth:mint", "auth:rotate"], {})

    def test_it_acts_for_others_as_the_form_says(
        self, minter: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        mint(
            minter,
            service_user,
            auth_scopes=["auth:mint"],
            scopes=["sandbox:read"],
            for_services=[builder.pk],
            child_metadata="sandbox_id\nrun",
            max_children="7",
        )
        key = APIKey.objects.get()
        assert key.delegate == Delegation(("builder",), ("sandbox_id", "run"), most=7)
        assert key.scopes == ["auth:mint", "sandbox:read"]

    def test_a_key_that_only_looks_may_be_shown_the_keys_of_all(
        self, minter: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        given = {"for_services": [builder.pk], "every_service": "on"}
        mint(minter, service_user, auth_scopes=["auth:introspect"], **given)
        assert APIKey.objects.get().delegate == Delegation(("*",))

    @pytest.mark.parametrize(
        ("fields", "where", "says"),
        [
            ({"max_children": "7"}, "auth_scopes", "Only a key with a scope such as auth:mint"),
            ({"child_metadata": "run"}, "auth_scopes", "Only a key with a scope such as auth:mint"),
            (
                {"every_service": "on", "auth_scopes": ["auth:mint"]},
                "auth_scopes",
                "is for keys that only look",
            ),
            ({"auth_scopes": ["auth:fly"]}, "auth_scopes", "not one of the available choices"),
            ({"more_scopes": "auth:fly"}, "more_scopes", "Unknown scope"),
            ({"max_children": "0"}, "max_children", "greater than or equal to 1"),
            ({"max_children": "1000001"}, "max_children", "less than or equal to 1000000"),
            ({"for_services": ["999999"]}, "for_services", "not one of the available choices"),
            ({"for_services": ["x"]}, "for_services", "not a valid value"),
            ({"child_metadata": "x" * 65}, "child_metadata", "up to 64 letters"),
            ({"child_metadata": " ".join(map(str, range(201)))}, "child_metadata", "at most 200"),
        ],
    )
    def test_what_is_wrong_is_said_where_it_is(
        self,
        minter: Client,
        service_user: ServiceUser,
        fields: dict[str, Any],
        where: str,
        says: str,
    ) -> None:
        form = mint(minter, service_user, **fields).context["adminform"].form
        assert list(form.errors) == [where]
        assert says in str(form.errors[where])
        assert not APIKey.objects.exists()

    def test_more_service_users_than_a_key_may_name_are_refused_where_they_are(
        self, minter: Client, service_user: ServiceUser
    ) -> None:
        machines = [
            ServiceUser(name=f"machine-{number}", created_at=timezone.now())
            for number in range(201)
        ]
        ServiceUser.objects.bulk_create(machines)
        chosen = list(ServiceUser.objects.values_list("pk", flat=True)[:201])
        form = (
            mint(minter, service_user, auth_scopes=["auth:mint"], for_services=chosen)
            .context["adminform"]
            .form
        )
        assert "at most 200" in str(form.errors["for_services"])

    def test_service_users_that_one_does_not_manage_can_not_be_named(
        self, minter: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        fields = {"auth_scopes": ["auth:mint"], "for_services": [builder.pk]}
        with pikku_settings(MAY_MANAGE="tests.admin.test_children.only_sandbox_runtime"):
            form = mint(minter, service_user, **fields).context["adminform"].form
        assert list(form.errors) == ["for_services"]

    def test_every_one_is_named_by_who_may_grant_any_scope(
        self, staff: Staff, service_user: ServiceUser
    ) -> None:
        set_service_user_scopes(service_user, ["auth:read"])
        limited = staff("mint_apikey", "view_apikey", "view_serviceuser", name="limited")
        assert 'name="every_service"' not in html_of(limited.get(MINT))
        mint(limited, service_user, auth_scopes=["auth:read"], every_service="on")
        assert APIKey.objects.get().delegation == {}

    def test_a_ceiling_holds_for_its_scopes(self, staff: Staff, service_user: ServiceUser) -> None:
        set_service_user_scopes(service_user, ["*"])
        limited = staff("mint_apikey", "view_apikey", "view_serviceuser", name="limited")
        response = mint(limited, service_user, auth_scopes=["auth:mint"])
        assert "does not allow auth:mint" in html_of(response)
        assert not APIKey.objects.exists()

    def test_what_was_chosen_is_there_again_when_something_else_is_wrong(
        self, minter: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        fields = {"auth_scopes": ["auth:mint"], "for_services": [builder.pk]}
        html = html_of(mint(minter, service_user, **fields, networks="x"))
        assert f'<option value="{builder.pk}" selected>builder</option>' in html
        assert re.search(r'value="auth:mint"[^>]* checked', html)

    def test_a_link_fills_in_none_of_it(self, minter: Client, service_user: ServiceUser) -> None:
        given = {"auth_scopes": "auth:mint", "for_services": service_user.pk}
        given |= {"child_metadata": "planted", "every_service": "on"}
        html = html_of(minter.get(MINT, given)).partition('class="pikku-once"')[2]
        html = html.partition("</form>")[0]
        assert "planted" not in html
        assert " checked" not in html
        assert " selected>sandbox-runtime" not in html
