"""Ceilings in the admin: who mints within one, who sets it, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    may_manage,
    set_service_user_scopes,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, SECRET, SERVICE_USERS, html_of, mint, rotate

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]

MINTER = ["view_apikey", "mint_apikey", "view_serviceuser"]
KEEPER = ["view_serviceuser", "add_serviceuser", "change_serviceuser"]

MINTINGS: list[tuple[list[str], Any, str, bool]] = [
    (MINTER, None, "", False),
    (MINTER, None, "sandbox:read", False),
    (MINTER, None, "*", False),
    (MINTER, ["sandbox:read"], "sandbox:read", True),
    (MINTER, ["sandbox:*"], "sandbox:read", True),
    (MINTER, ["sandbox:read"], "sandbox:*", False),
    (MINTER, ["sandbox:read"], "perm:auth.view_group", False),
    (MINTER, [], "", True),
    (MINTER, [], "sandbox:read", False),
    ([*MINTER, "grant_any_scope"], None, "*", True),
    ([*MINTER, "grant_any_scope"], ["sandbox:read"], "sandbox:write", True),
    (["mint_apikey"], ["*"], "sandbox:read", False),
    (["mint_apikey", "grant_any_scope"], None, "sandbox:read", False),
]


@pytest.mark.parametrize(("rights", "ceiling", "scopes", "minted"), MINTINGS)
def test_staff_mint_within_a_ceiling_for_whom_they_see(
    staff: Staff,
    service_user: ServiceUser,
    rights: list[str],
    ceiling: Any,
    scopes: str,
    minted: bool,
) -> None:
    set_service_user_scopes(service_user, ceiling)
    html = html_of(mint(staff(*rights), service_user, more_scopes=scopes))
    assert bool(SECRET.search(html)) is minted
    assert APIKey.objects.exists() is minted


@pytest.mark.parametrize(("ceiling", "rotated"), [(None, False), ([], True), (["*"], True)])
def test_a_rotation_hands_over_no_more_than_minting_would(
    staff: Staff, service_user: ServiceUser, mint: Mint, ceiling: Any, rotated: bool
) -> None:
    key = mint(scopes=["*"]).key
    set_service_user_scopes(service_user, ceiling)
    html = html_of(rotate(staff(*MINTER), key))
    assert bool(SECRET.search(html)) is rotated
    assert ("has no ceiling of scopes" in html) is not rotated


CHANGES: list[tuple[list[str], Any, dict[str, str], Any]] = [
    (["grant_any_scope"], None, {"has_ceiling": "on", "ceiling": "sandbox:read"}, ["sandbox:read"]),
    (["grant_any_scope"], None, {"has_ceiling": "on", "ceiling": ""}, []),
    (["grant_any_scope"], ["sandbox:read"], {"ceiling": "sandbox:read"}, None),
    (["grant_any_scope"], ["sandbox:read"], {"has_ceiling": "on", "ceiling": "*"}, ["*"]),
    ([], ["sandbox:*"], {"ceiling": "sandbox:read"}, ["sandbox:read"]),
    ([], ["sandbox:*"], {"ceiling": ""}, []),
    ([], ["sandbox:read"], {"ceiling": "*"}, ["sandbox:read"]),
    ([], ["sandbox:read"], {"has_ceiling": "", "ceiling": "*"}, ["sandbox:read"]),
    ([], None, {"has_ceiling": "on", "ceiling": "sandbox:read"}, None),
    (["grant_any_scope"], None, {"has_ceiling": "on", "ceiling": "nonsense"}, None),
]


@pytest.mark.parametrize(("rights", "before", "sent", "after"), CHANGES)
def test_a_ceiling_is_set_by_some_and_narrowed_by_others(
    staff: Staff,
    service_user: ServiceUser,
    rights: list[str],
    before: Any,
    sent: dict[str, str],
    after: Any,
) -> None:
    set_service_user_scopes(service_user, before)
    client = staff(*KEEPER, *rights)
    client.post(f"{SERVICE_USERS}{service_user.pk}/change/", {"description": "", **sent})
    assert ServiceUser.objects.get().scopes == after


@pytest.mark.parametrize(
    ("rights", "scopes"), [(["grant_any_scope"], ["sandbox:read"]), ([], None)]
)
def test_a_new_service_user_has_the_ceiling_that_one_may_set(
    staff: Staff, rights: list[str], scopes: Any
) -> None:
    sent = {"name": "builder", "has_ceiling": "on", "ceiling": "sandbox:read"}
    staff(*KEEPER, *rights).post(f"{SERVICE_USERS}add/", sent)
    assert ServiceUser.objects.get().scopes == scopes


def test_the_pages_show_what_a_key_may_do_now(superuser: Client, mint: Mint) -> None:
    key = mint(scopes=["sandbox:*"]).key
    set_service_user_scopes(key.service_user, ["sandbox:read"])
    assert "sandbox:*" not in html_of(superuser.get(KEYS))
    page = html_of(superuser.get(f"{KEYS}{key.pk}/change/"))
    assert "sandbox:read (the ceiling of the service user limits sandbox:*)" in page
    history = html_of(superuser.get(f"{SERVICE_USERS}{key.service_user_id}/history/"))
    assert "from none to sandbox:read" in history


@pytest.mark.parametrize(
    ("scopes", "told"), [(None, "none is set"), ([], "nothing"), (["sandbox:read"], "sandbox:read")]
)
def test_who_may_only_look_sees_the_ceiling(
    staff: Staff, service_user: ServiceUser, scopes: Any, told: str
) -> None:
    set_service_user_scopes(service_user, scopes)
    page = html_of(staff("view_serviceuser").get(f"{SERVICE_USERS}{service_user.pk}/change/"))
    assert f'<div class="readonly">{told}</div>' in page


class TestWhoManagesWhat:
    """``MAY_MANAGE`` is asked wherever the admin names a machine."""

    @pytest.fixture(autouse=True)
    def _ours_only(self, settings: Any) -> None:
        rule = f"{__name__}.manages_its_own"
        settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAY_MANAGE": rule}

    @pytest.fixture
    def ours(self) -> IssuedKey:
        return self._key_of("ours-builder")

    @pytest.fixture
    def theirs(self) -> IssuedKey:
        return self._key_of("theirs-builder")

    def _key_of(self, name: str) -> IssuedKey:
        from pikku_auth.flows import mint_key

        return mint_key(create_service_user(name, scopes=["*"]), scopes=["sandbox:read"])

    @pytest.fixture
    def client(self, staff: Staff) -> Client:
        rights = ["view", "add", "change", "delete"]
        return staff(
            *(f"{right}_serviceuser" for right in rights),
            "view_apikey", "mint_apikey", "revoke_apikey", "change_apikey", "delete_apikey",
            "view_auditevent", "grant_any_scope",
        )  # fmt: skip

    def test_lists_filters_and_searches_name_no_other_machine(
        self, client: Client, ours: IssuedKey, theirs: IssuedKey
    ) -> None:
        pk = theirs.key.service_user_id
        events = "/admin/pikku_auth/auditevent/"
        autocomplete = (
            "/admin/autocomplete/?app_label=pikku_auth&model_name=apikey&field_name=service_user"
        )
        for path in (
            KEYS,
            f"{KEYS}?service_user__id__exact={pk}",
            f"{KEYS}?q=builder",
            SERVICE_USERS,
            f"{SERVICE_USERS}?q=builder",
            events,
            f"{events}?service_user__id__exact={pk}",
            f"{KEYS}add/?service_user={pk}",
            autocomplete,
        ):
            html = html_of(client.get(path))
            assert "theirs-builder" not in html, path
        export = b"".join(client.get(f"{events}export/").streaming_content)  # type: ignore[attr-defined]
        assert b"ours-builder" in export
        assert b"theirs-builder" not in export
        assert "ours-builder" in html_of(client.get(autocomplete))

    def test_pages_of_others_are_not_there(self, client: Client, theirs: IssuedKey) -> None:
        for path in (
            f"{KEYS}{theirs.key.pk}/change/",
            f"{KEYS}{theirs.key.pk}/history/",
            f"{SERVICE_USERS}{theirs.key.service_user_id}/change/",
            f"{SERVICE_USERS}{theirs.key.service_user_id}/history/",
            f"{SERVICE_USERS}{theirs.key.service_user_id}/delete/",
        ):
            response = client.get(path, follow=True)
            assert "theirs-builder" not in html_of(response), path

    def test_nothing_is_done_to_them(self, client: Client, theirs: IssuedKey) -> None:
        from tests.admin.pages import act

        owner = theirs.key.service_user
        before = APIKey.objects.values().get(pk=theirs.key.pk)
        for name in ("rotate", "revoke", "disable", "enable"):
            act(client, name, theirs.key, overlap="24h")
        act(client, "deactivate", owner, base=SERVICE_USERS)
        client.post(f"{KEYS}{theirs.key.pk}/change/", {"name": "mine"})
        client.post(f"{SERVICE_USERS}{owner.pk}/change/", {"description": "mine"})
        assert not SECRET.search(html_of(mint(client, owner)))
        assert APIKey.objects.values().get(pk=theirs.key.pk) == before
        assert APIKey.objects.count() == 1
        row = ServiceUser.objects.get()
        assert (row.is_active, row.description) == (True, "")

    def test_their_secrets_are_not_found(
        self, client: Client, ours: IssuedKey, theirs: IssuedKey
    ) -> None:
        found = client.post(f"{KEYS}find/", {"secret": ours.secret.reveal()})
        assert found["Location"] == f"{KEYS}{ours.key.pk}/change/"
        hidden = client.post(f"{KEYS}find/", {"secret": theirs.secret.reveal()})
        assert hidden["Location"] == KEYS

    def test_what_became_of_deleted_machines_is_not_told(self, client: Client) -> None:
        from pikku_auth.flows import delete_service_user

        delete_service_user(create_service_user("theirs-gone"))
        assert AuditEvent.objects.filter(subject="theirs-gone").exists()
        assert "theirs-gone" not in html_of(client.get("/admin/pikku_auth/auditevent/"))

    def test_their_own_are_theirs_to_manage(self, client: Client, ours: IssuedKey) -> None:
        assert SECRET.search(html_of(mint(client, ours.key.service_user)))


def manages_its_own(user: Any, service_user: ServiceUser) -> bool:
    """What a host sets as ``MAY_MANAGE``."""
    return service_user.name.startswith("ours-")


def test_who_has_any_right_in_this_app_manages_every_machine(
    staff: Staff, service_user: ServiceUser, make_user: Callable[..., Any]
) -> None:
    keeper = get_user_model()._default_manager.get(pk=staff("view_apikey").session["_auth_user_id"])
    assert may_manage(keeper, service_user)
    assert not may_manage(make_user("eve"), service_user)


def test_machine_that_somebody_made_staff_is_shown_as_privileged(
    staff: Staff, service_user: ServiceUser
) -> None:
    people = get_user_model()._default_manager
    people.filter(pk=service_user.user_id).update(is_staff=True)
    assert ">its user is staff or a superuser<" in html_of(staff(*KEEPER).get(SERVICE_USERS))
