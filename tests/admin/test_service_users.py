"""Service users in the admin: who the machines are, and the switch that stops one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    mint_key,
    revoke_key,
    set_service_user_contacts,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, SERVICE_USERS, USERS, act, html_of, many_keys, messages_of, use
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
READ = ["sandbox:read"]


@pytest.fixture
def keeper(staff: Staff) -> Client:
    return staff("view_serviceuser", "add_serviceuser", "change_serviceuser", "delete_serviceuser")


def page_of(row: ServiceUser) -> str:
    return f"{SERVICE_USERS}{row.pk}/change/"


def create(client: Client, name: str, description: str = "") -> Any:
    return client.post(f"{SERVICE_USERS}add/", {"name": name, "description": description})


def no_user(name: str) -> Any:
    """What a host may set as ``SERVICE_USER_FACTORY``."""
    raise InvalidInput("user", "No more users here.")


class TestTheList:
    """Who there is, what each has, and when it was used last."""

    def test_counts_the_keys_that_work(self, keeper: Client, mint: Mint) -> None:
        mint()
        mint()
        revoke_key(mint().key)
        create_service_user("builder")
        rows = {row.name: row for row in keeper.get(SERVICE_USERS).context["cl"].result_list}
        assert rows["sandbox-runtime"].live_keys == 2
        html = html_of(keeper.get(SERVICE_USERS))
        assert "2 active keys" in html
        assert "0 active keys" in html

    def test_says_when_one_was_used_last(self, keeper: Client, mint: Mint) -> None:
        for hours in (5, 3):
            used = timezone.now() - timedelta(hours=hours)
            APIKey.objects.filter(pk=mint().key.pk).update(last_used_at=used)
        assert "3\xa0hours ago" in html_of(keeper.get(SERVICE_USERS))

    def test_says_what_each_is(self, keeper: Client, service_user: ServiceUser) -> None:
        deactivate_service_user(create_service_user("stopped"))
        orphan = create_service_user("orphan")
        get_user_model()._default_manager.filter(pk=orphan.user_id).update(is_active=False)
        html = html_of(keeper.get(SERVICE_USERS))
        for word in (">active<", ">deactivated<", ">its user is inactive<"):
            assert word in html

    def test_costs_the_same_for_a_thousand(
        self, keeper: Client, django_assert_num_queries: Any
    ) -> None:
        keeper.get(SERVICE_USERS)
        for count in (10, 990):
            start = ServiceUser.objects.count()
            rows = [
                ServiceUser(name=f"m{start + n}", created_at=timezone.now()) for n in range(count)
            ]
            ServiceUser.objects.bulk_create(rows)
            with django_assert_num_queries(7):
                keeper.get(SERVICE_USERS)


class TestCreating:
    """It makes the Django user, too."""

    def test_makes_both(self, keeper: Client) -> None:
        response = create(keeper, "builder", "CI")
        made = ServiceUser.objects.get(name="builder")
        assert response["Location"] == SERVICE_USERS
        assert made.description == "CI"
        user: Any = made.user
        assert not user.has_usable_password()
        event = AuditEvent.objects.get(action="service_user_created")
        assert (event.source, event.ip) == ("admin", "127.0.0.1")

    @pytest.mark.parametrize(
        ("name", "description", "says"),
        [
            ("Builder", "", "use up to 100 lower-case letters"),
            ("sandbox-runtime", "", "is taken"),
            ("", "", "This field is required"),
            ("x" * 101, "", "at most 100 characters"),
            ("builder", "a\u202eb", "Leave out U+202E"),
        ],
    )
    def test_says_what_is_wrong(
        self, keeper: Client, service_user: ServiceUser, name: str, description: str, says: str
    ) -> None:
        response = create(keeper, name, description)
        assert says in html_of(response)
        assert ServiceUser.objects.count() == 1

    def test_what_only_the_verb_knows_is_said_and_nothing_typed_is_lost(
        self, keeper: Client
    ) -> None:
        with pikku_settings(SERVICE_USER_FACTORY=f"{__name__}.no_user"):
            response = create(keeper, "builder", "CI")
        assert messages_of(response) == ["No more users here."]
        assert response["Location"] == f"{SERVICE_USERS}add/?name=builder&description=CI"
        assert not ServiceUser.objects.exists()


class TestOnePage:
    """Of one service user, with its keys and its history."""

    def test_lists_its_keys(self, superuser: Client, mint: Mint, service_user: ServiceUser) -> None:
        mint(name="production", scopes=READ)
        html = html_of(superuser.get(page_of(service_user)))
        assert "production (pka_" in html
        assert "Mint a key" in html

    def test_of_many_only_the_newest(
        self, superuser: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        for number in range(23):
            mint(name=f"key-{number}-")
        html = html_of(superuser.get(page_of(service_user)))
        assert "key-22-" in html
        assert "key-2-" not in html
        assert "Its 23 keys in the list of keys" in html

    def test_says_when_each_ends_and_leads_to_them_in_the_list(
        self, superuser: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        mint(lifetime=timedelta(days=3, hours=1))
        html = html_of(superuser.get(page_of(service_user)))
        assert "in 3\xa0days" in html
        link = f"{KEYS}?service_user__id__exact={service_user.pk}"
        assert f'href="{link}"' in html
        assert len(superuser.get(link).context["cl"].result_list) == 1

    def test_without_keys_says_how_to_mint_one(
        self, superuser: Client, staff: Staff, service_user: ServiceUser
    ) -> None:
        page, hint = page_of(service_user), "“Mint a key” makes one"
        assert hint in html_of(superuser.get(page))
        viewer = html_of(staff("view_serviceuser", "view_apikey").get(page))
        assert "It has no keys yet." in viewer
        assert hint not in viewer

    def test_shows_keys_only_to_who_may_see_keys(
        self, keeper: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        mint(name="production")
        html = html_of(keeper.get(page_of(service_user)))
        assert "production" not in html
        assert "Mint a key" not in html

    def test_its_django_user_is_linked_for_who_may_see_users(
        self, keeper: Client, superuser: Client, service_user: ServiceUser
    ) -> None:
        link = f"{USERS}{service_user.user_id}/change/"
        assert f">{service_user.user}</div>" in html_of(keeper.get(page_of(service_user)))
        assert link not in html_of(keeper.get(page_of(service_user)))
        has_screen = admin.site.is_registered(get_user_model())
        assert (link in html_of(superuser.get(page_of(service_user)))) == has_screen

    def test_only_the_description_can_be_changed(
        self, keeper: Client, service_user: ServiceUser
    ) -> None:
        given = {"description": "Runs sandboxes", "name": "other", "is_active": "", "user": 1}
        keeper.post(page_of(service_user), given)
        row = ServiceUser.objects.get()
        assert (row.name, row.description, row.is_active) == (
            "sandbox-runtime",
            "Runs sandboxes",
            True,
        )
        assert AuditEvent.objects.filter(action="service_user_described").count() == 1

    def test_that_there_is_not_is_said(self, keeper: Client) -> None:
        for nonsense in ("999", "x", "9" * 30):
            response = keeper.get(f"{SERVICE_USERS}{nonsense}/change/")
            assert response.status_code == 302
            assert keeper.get(f"{SERVICE_USERS}{nonsense}/history/").status_code == 302


class TestDeactivating:
    """It stops every key at once."""

    def test_says_how_many_keys_die(
        self, keeper: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        for _ in range(3):
            mint()
        html = html_of(keeper.get(f"{SERVICE_USERS}act/deactivate/?ids={service_user.pk}"))
        assert "Deactivate 1 service user?" in html
        assert "3 active keys" in html

    def test_refuses_its_keys_and_activating_lets_them_in_again(
        self, keeper: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        keys = [mint(scopes=READ) for _ in range(3)]
        other = mint_key(create_service_user("builder"), scopes=READ)
        act(keeper, "deactivate", service_user, base=SERVICE_USERS)
        assert [use(key) for key in keys] == [401, 401, 401]
        assert use(other) == 200
        act(keeper, "activate", service_user, base=SERVICE_USERS)
        assert [use(key) for key in keys] == [200, 200, 200]
        events = AuditEvent.objects.filter(source="admin").order_by("pk")
        assert [event.action for event in events] == [
            "service_user_deactivated",
            "service_user_activated",
        ]

    def test_offers_what_fits(self, keeper: Client, service_user: ServiceUser) -> None:
        html = html_of(keeper.get(page_of(service_user)))
        assert ("act/deactivate/" in html, "act/activate/" in html) == (True, False)
        deactivate_service_user(service_user)
        html = html_of(keeper.get(page_of(service_user)))
        assert ("act/deactivate/" in html, "act/activate/" in html) == (False, True)


class TestDeleting:
    """Only what has no history of keys."""

    def test_one_without_keys_goes_and_its_user_is_left_inactive(
        self, superuser: Client, service_user: ServiceUser
    ) -> None:
        superuser.post(f"{SERVICE_USERS}{service_user.pk}/delete/", {"post": "yes"})
        assert not ServiceUser.objects.exists()
        assert not get_user_model()._default_manager.get(pk=service_user.user_id).is_active
        event = AuditEvent.objects.get(action="service_user_deleted")
        assert (event.subject, event.source) == ("sandbox-runtime", "admin")

    def test_by_the_list_too(self, superuser: Client, service_user: ServiceUser) -> None:
        chosen = {"action": "delete_selected", "_selected_action": service_user.pk, "post": "yes"}
        superuser.post(SERVICE_USERS, chosen)
        assert not ServiceUser.objects.exists()

    def test_many_by_the_list_go_through_the_verb(self, superuser: Client) -> None:
        rows = [create_service_user(name) for name in ("one", "two")]
        pks = [row.pk for row in rows]
        chosen = {"action": "delete_selected", "_selected_action": pks, "post": "yes"}
        superuser.post(SERVICE_USERS, chosen)
        events = AuditEvent.objects.filter(action="service_user_deleted", source="admin")
        assert sorted(event.subject for event in events) == ["one", "two"]
        left = get_user_model()._default_manager.filter(pk__in=[row.user_id for row in rows])
        assert [user.is_active for user in left] == [False, False]

    @pytest.mark.parametrize("confirmed", [{}, {"post": "yes"}])
    def test_one_with_a_dead_key_stays_and_it_is_said_why(
        self, superuser: Client, mint: Mint, service_user: ServiceUser, confirmed: dict[str, str]
    ) -> None:
        revoke_key(mint().key)
        told = "sandbox-runtime has keys, which are its history: deactivate it instead."
        by_url = superuser.post(f"{SERVICE_USERS}{service_user.pk}/delete/", confirmed)
        assert (by_url["Location"], messages_of(by_url)) == (page_of(service_user), [told])
        chosen = {"action": "delete_selected", "_selected_action": service_user.pk, **confirmed}
        by_list = superuser.post(SERVICE_USERS, chosen)
        assert (by_list["Location"], messages_of(by_list)[-1]) == (SERVICE_USERS, told)
        assert ServiceUser.objects.exists()

    def test_refusing_costs_the_same_for_a_thousand_keys(
        self, superuser: Client, service_user: ServiceUser, django_assert_max_num_queries: Any
    ) -> None:
        many_keys(service_user, 1_000)
        chosen = {"action": "delete_selected", "_selected_action": service_user.pk}
        with django_assert_max_num_queries(12):
            superuser.post(SERVICE_USERS, chosen)

    def test_who_may_not_delete_is_refused(self, staff: Staff, service_user: ServiceUser) -> None:
        client = staff("view_serviceuser")
        assert client.get(f"{SERVICE_USERS}{service_user.pk}/delete/").status_code == 403

    def test_what_there_is_not_is_said(self, keeper: Client) -> None:
        assert keeper.get(f"{SERVICE_USERS}999/delete/").status_code == 302


class TestContacts:
    """Who hears of its keys before they end."""

    def test_are_given_when_it_is_made(self, keeper: Client) -> None:
        typed = {"name": "builder", "description": "", "contact_lines": "ops@example.com\r\n"}
        keeper.post(f"{SERVICE_USERS}add/", typed)
        assert ServiceUser.objects.get().contacts == ["ops@example.com"]

    def test_are_changed_and_shown_one_a_line(
        self, keeper: Client, service_user: ServiceUser
    ) -> None:
        lines = "ops@example.com\r\n\r\n ada@example.com "
        keeper.post(page_of(service_user), {"description": "", "contact_lines": lines})
        service_user.refresh_from_db()
        assert service_user.contacts == ["ops@example.com", "ada@example.com"]
        assert "ops@example.com\nada@example.com</textarea>" in html_of(
            keeper.get(page_of(service_user))
        )
        event = AuditEvent.objects.latest("pk")
        assert (event.action, event.source) == ("service_user_contacts_set", "admin")

    def test_that_are_none_are_said_to_be_none(
        self, keeper: Client, service_user: ServiceUser
    ) -> None:
        response = keeper.post(page_of(service_user), {"contact_lines": "ops"})
        assert "is no e-mail address" in html_of(response)
        service_user.refresh_from_db()
        assert service_user.contacts == []

    def test_are_shown_to_who_may_not_change_them(
        self, staff: Staff, service_user: ServiceUser
    ) -> None:
        set_service_user_contacts(service_user, ["ops@example.com"])
        html = html_of(staff("view_serviceuser").get(page_of(service_user)))
        assert "ops@example.com" in html
        assert "contact_lines" not in html
