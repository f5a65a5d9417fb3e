"""Keys that keys have minted: where staff see them, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from pikku_auth.core.delegation import Delegation
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    mint_key,
    revoke_key,
    shorten_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, SECRET, SERVICE_USERS, act, html_of, messages_of, rotate, use
from tests.conftest import pikku_settings
from tests.families import child_of, many_children, parent_of

pytestmark = pytest.mark.django_db

ALL = ("view_apikey", "mint_apikey", "revoke_apikey", "change_apikey", "grant_any_scope")


@pytest.fixture
def keeper(staff: Staff) -> Client:
    return staff(*ALL, "delete_apikey", "view_serviceuser", "change_serviceuser")


@pytest.fixture
def parent(service_user: ServiceUser) -> IssuedKey:
    return parent_of(service_user, lifetime=None)


@pytest.fixture
def builder(db: None) -> ServiceUser:
    return create_service_user("builder")


def names_in_list(response: Any) -> list[str]:
    return [row.name for row in response.context["cl"].result_list]


def followers_in(response: Any) -> str:
    """What the question says of the keys that change as well."""
    found = re.search(r'<div class="pikku-following">(.*?)</div>', html_of(response), re.DOTALL)
    return " ".join(re.sub("<[^>]+>", " ", found[1]).split()) if found else ""


def only_sandbox_runtime(_user: Any, service_user: ServiceUser) -> bool:
    """For ``MAY_MANAGE``."""
    return service_user.name == "sandbox-runtime"


def only_builder(_user: Any, service_user: ServiceUser) -> bool:
    return service_user.name == "builder"


class TestThePageOfAKey:
    """It leads to the key that has minted it, and to those that it has minted."""

    def test_leads_to_the_key_that_has_minted_it(self, keeper: Client, parent: IssuedKey) -> None:
        child = child_of(parent).key
        html = html_of(keeper.get(f"{KEYS}{child.pk}/change/"))
        assert "Minted by:" in html
        assert f'<a href="{KEYS}{parent.key.pk}/change/">{parent.key}</a>' in html
        assert "Managing keys" not in html
        assert "has minted" not in html

    def test_leads_to_the_keys_that_it_has_minted(self, keeper: Client, parent: IssuedKey) -> None:
        for name in ("first", "second", "over"):
            key = child_of(parent, name=name).key
        revoke_key(key)
        html = html_of(keeper.get(f"{KEYS}{parent.key.pk}/change/"))
        link = f'<a href="{KEYS}?parent={parent.key.pk}">'
        assert f"{link}All keys that it has minted; 2 are alive</a>" in html
        for name in ("first", "second", "over"):
            assert name in html
        assert names_in_list(keeper.get(f"{KEYS}?parent={parent.key.pk}")) == [
            "over",
            "second",
            "first",
        ]

    def test_says_that_it_has_minted_none(self, keeper: Client, parent: IssuedKey) -> None:
        assert "It has minted no keys." in html_of(keeper.get(f"{KEYS}{parent.key.pk}/change/"))

    @pytest.mark.parametrize(
        ("scope", "delegation", "says"),
        [
            ("auth:mint", None, ["sandbox-runtime</div>", ">none</div>", ">1,000</div>"]),
            (
                "auth:mint",
                Delegation(("builder",), ("sandbox_id", "run"), most=7),
                ["sandbox-runtime, builder", "sandbox_id, run", ">7</div>"],
            ),
            ("auth:read", Delegation(("*",)), ["every service user"]),
        ],
    )
    def test_says_for_whom_it_manages_keys(
        self,
        scope: str,
        delegation: Delegation | None,
        says: list[str],
        keeper: Client,
        service_user: ServiceUser,
        builder: ServiceUser,
    ) -> None:
        key = parent_of(service_user, scopes=[scope], delegation=delegation).key
        html = html_of(keeper.get(f"{KEYS}{key.pk}/change/"))
        _, _, managing = html.partition("Managing keys")
        for text in says:
            assert text in managing

    def test_costs_the_same_for_a_thousand(
        self, keeper: Client, parent: IssuedKey, django_assert_max_num_queries: Any
    ) -> None:
        many_children(parent.key, 1_000)
        keeper.get(KEYS)
        with django_assert_max_num_queries(14):
            html = html_of(keeper.get(f"{KEYS}{parent.key.pk}/change/"))
        assert "1,000 are alive" in html
        assert html.count("child-") == 20

    def test_shows_nothing_of_machines_that_one_does_not_manage(
        self, keeper: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        parent = parent_of(service_user, delegation=Delegation(("builder",)))
        child, _ = child_of(parent, builder, name="others").key, child_of(parent, name="own")
        with pikku_settings(MAY_MANAGE=f"{__name__}.only_sandbox_runtime"):
            html = html_of(keeper.get(f"{KEYS}{parent.key.pk}/change/"))
            assert "1 is alive" in html
            assert "others" not in html.partition('id="pikku-children"')[2].partition("own")[0]
            assert names_in_list(keeper.get(f"{KEYS}?parent={parent.key.pk}")) == ["own"]
        with pikku_settings(MAY_MANAGE=f"{__name__}.only_builder"):
            html = html_of(keeper.get(f"{KEYS}{child.pk}/change/"))
            assert "a key of a machine that you don&#x27;t manage" in html
            assert "orchestrator" not in html
            page = keeper.get(f"{KEYS}?parent={parent.key.pk}")
            assert names_in_list(page) == ["others"]
            assert f"key {parent.key.pk}" in html_of(page)
            assert "orchestrator" not in html_of(page)

    def test_shows_the_networks_of_its_parent(self, keeper: Client, service_user: Any) -> None:
        parent = parent_of(service_user, networks=["192.0.2.0/24"])
        for networks, says in (
            (["192.0.2.7/32"], "192.0.2.7/32 (its parent may be used from 192.0.2.0/24)"),
            (["192.0.2.0/24"], ">192.0.2.0/24<"),
            ([], "any (its parent may be used from 192.0.2.0/24)"),
        ):
            child = child_of(parent, ip="192.0.2.7", networks=networks).key
            assert says in html_of(keeper.get(f"{KEYS}{child.pk}/change/"))


class TestTheList:
    """It is filtered by the key that has minted them, where a link says so."""

    def test_says_by_which_key_it_is_filtered_and_how_to_see_all(
        self, keeper: Client, parent: IssuedKey
    ) -> None:
        child_of(parent)
        html = html_of(keeper.get(f"{KEYS}?parent={parent.key.pk}&state=active"))
        assert "By parent" in html
        assert f"?parent={parent.key.pk}&amp;state=active" in html
        assert str(parent.key) in html
        assert "By parent" not in html_of(keeper.get(KEYS))

    @pytest.mark.parametrize("asked", ["x", "1.5", "-1", "", "9" * 30, "²"])
    def test_of_what_is_no_key_is_no_list(self, keeper: Client, asked: str) -> None:
        response = keeper.get(KEYS, {"parent": asked})
        assert response["Location"] == f"{KEYS}?e=1"

    def test_of_a_key_that_is_gone_is_empty(self, keeper: Client, parent: IssuedKey) -> None:
        response = keeper.get(f"{KEYS}?parent=987654")
        assert names_in_list(response) == []
        assert "key 987654" in html_of(response)

    def test_shows_and_explains_keys_that_stop_with_their_parent(
        self, keeper: Client, parent: IssuedKey
    ) -> None:
        child = child_of(parent, name="child").key
        disable_key(parent.key)
        page = keeper.get(f"{KEYS}?state=suspended")
        assert names_in_list(page) == ["child"]
        why = "The key that has minted it is disabled"
        badge = '<span class="pikku-state pikku-suspended" title="'
        assert f"{badge}{why}" in html_of(page)
        assert ">stopped with its parent</span>" in html_of(page)
        html = html_of(keeper.get(f"{KEYS}{child.pk}/change/"))
        assert f"</span> {why}" in html
        service_user = html_of(keeper.get(f"{SERVICE_USERS}{child.service_user_id}/change/"))
        assert f"{badge}{why}" in service_user


class TestWhatFollows:
    """The question says how many other keys die or stop, and names the first."""

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("revoke", "1 key that these have minted is revoked as well: child"),
            (
                "disable",
                "1 key that these have minted stops as well, until they",
            ),
            ("rotate", "1 key that these have minted goes on with the successor."),
        ],
    )
    def test_is_said_before_it_happens(
        self, keeper: Client, parent: IssuedKey, name: str, says: str
    ) -> None:
        child = child_of(parent, name="child").key
        told = followers_in(keeper.get(f"{KEYS}act/{name}/?ids={parent.key.pk}"))
        assert told.startswith(says)
        assert told.endswith(f"{child} · sandbox-runtime")

    def test_is_what_goes_on_where_a_key_is_enabled(
        self, keeper: Client, parent: IssuedKey, service_user: ServiceUser
    ) -> None:
        child_of(parent, name="child")
        disable_key(parent.key)
        page = f"{KEYS}act/enable/?ids={parent.key.pk}"
        told = followers_in(keeper.get(page))
        assert told.startswith("1 key that these have minted goes on as well: child")
        deactivate_service_user(service_user)
        assert followers_in(keeper.get(page)) == ""

    @pytest.mark.parametrize("name", ["rotate", "revoke", "disable"])
    def test_is_nothing_where_no_key_has_minted(
        self, keeper: Client, mint: Callable[..., IssuedKey], parent: IssuedKey, name: str
    ) -> None:
        revoke_key(child_of(parent).key)
        ids = f"{mint().key.pk},{parent.key.pk}"
        assert followers_in(keeper.get(f"{KEYS}act/{name}/?ids={ids}")) == ""

    def test_are_not_those_that_stand_still_already(
        self, keeper: Client, parent: IssuedKey
    ) -> None:
        disable_key(child_of(parent).key)
        assert followers_in(keeper.get(f"{KEYS}act/disable/?ids={parent.key.pk}")) == ""
        assert "1 key" in followers_in(keeper.get(f"{KEYS}act/revoke/?ids={parent.key.pk}"))

    def test_are_not_those_that_were_chosen_themselves(
        self, keeper: Client, parent: IssuedKey
    ) -> None:
        first, second = child_of(parent, name="first").key, child_of(parent, name="second").key
        told = followers_in(keeper.get(f"{KEYS}act/revoke/?ids={parent.key.pk},{first.pk}"))
        assert told.startswith("1 key that these have minted is revoked as well: second")
        act(keeper, "revoke", parent.key, first)
        for key in (first, second):
            key.refresh_from_db()
            assert key.revoked_at

    def test_names_twenty_of_a_thousand_at_the_cost_of_two_queries(
        self, keeper: Client, parent: IssuedKey, django_assert_num_queries: Any
    ) -> None:
        many_children(parent.key, 1_000)
        keeper.get(KEYS)
        with django_assert_num_queries(7):
            told = followers_in(keeper.get(f"{KEYS}act/revoke/?ids={parent.key.pk}"))
        assert told.startswith("1,000 keys that these have minted are revoked as well: child-0")
        assert "child-19" in told
        assert "child-20" not in told
        assert told.endswith("and 980 more")
        act(keeper, "revoke", parent.key)
        assert not APIKey.objects.filter(revoked_at=None).exists()

    def test_names_none_of_a_machine_that_one_does_not_manage(
        self, keeper: Client, service_user: ServiceUser, builder: ServiceUser
    ) -> None:
        parent = parent_of(service_user, delegation=Delegation(("builder",)))
        child_of(parent, builder, name="others")
        child_of(parent, name="own")
        with pikku_settings(MAY_MANAGE=f"{__name__}.only_sandbox_runtime"):
            told = followers_in(keeper.get(f"{KEYS}act/revoke/?ids={parent.key.pk}"))
        assert told.startswith("2 keys that these have minted are revoked as well: own")
        assert told.endswith("and 1 more")
        assert "others" not in told


class TestRotating:
    """After a leak the keys that a key has minted end with it, unless they are kept."""

    @pytest.mark.parametrize(
        ("overlap", "fields", "lives"),
        [
            ("now", {}, False),
            ("now", {"keep_children": "on"}, True),
            ("24h", {}, True),
            ("24h", {"keep_children": "on"}, True),
        ],
    )
    def test_at_once_revokes_them_unless_they_are_kept(
        self, keeper: Client, parent: IssuedKey, overlap: str, fields: Any, lives: bool
    ) -> None:
        child = child_of(parent, scopes=["sandbox:read"])
        response = act(keeper, "rotate", parent.key, overlap=overlap, **fields)
        assert SECRET.search(html_of(response))
        assert use(child) == (200 if lives else 401)
        child.key.refresh_from_db()
        successor = APIKey.objects.get(rotated_from=parent.key)
        assert child.key.parent == (successor if lives else parent.key)

    @pytest.mark.parametrize(
        ("permissions", "scopes", "is_offered"),
        [
            (ALL, ["auth:mint"], True),
            (ALL, ["sandbox:read"], False),
            (("view_apikey", "mint_apikey", "grant_any_scope"), ["auth:mint"], False),
        ],
    )
    def test_offers_to_keep_them_where_they_could_be_lost(
        self,
        staff: Staff,
        service_user: ServiceUser,
        permissions: tuple[str, ...],
        scopes: list[str],
        is_offered: bool,
    ) -> None:
        key = mint_key(service_user, scopes=scopes).key
        html = html_of(staff(*permissions).get(f"{KEYS}act/rotate/?ids={key.pk}"))
        assert ('name="keep_children"' in html) is is_offered

    def test_shows_the_refusal_of_a_child_whose_parent_has_no_room(
        self, keeper: Client, service_user: ServiceUser
    ) -> None:
        parent = parent_of(service_user, delegation=Delegation(most=1))
        response = rotate(keeper, child_of(parent).key)
        assert "may have no more" in html_of(response)


def test_bounds_of_a_child_stay_within_its_parents(keeper: Client, service_user: Any) -> None:
    parent = parent_of(service_user, quota=100)
    child = child_of(parent, quota=10).key
    fields = {"networks": "", "rate": "", "refill": ""}
    fields |= {f"initial-{name}": "" for name in fields}
    response = act(keeper, "bounds", child, **fields, quota="5000", **{"initial-quota": "10"})
    assert list(response.context["form"].errors) == ["quota"]
    assert "more than it has" in html_of(response)
    child.refresh_from_db()
    assert child.remaining == 10


class TestDeleting:
    """A key stays while there are keys that it has minted."""

    def test_is_refused_in_words(self, keeper: Client, parent: IssuedKey) -> None:
        child_of(parent)
        revoke_key(parent.key)
        told = f"{parent.key} has minted others: delete those first."
        assert messages_of(keeper.get(f"{KEYS}{parent.key.pk}/delete/")) == [told]
        chosen = {"action": "delete_selected", "_selected_action": parent.key.pk}
        assert told in messages_of(keeper.post(KEYS, chosen))

    def test_is_for_the_minted_first(self, keeper: Client, parent: IssuedKey) -> None:
        child = child_of(parent).key
        revoke_key(parent.key)
        for key in (child, parent.key):
            keeper.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"})
        assert not APIKey.objects.exists()


class TestTheHistory:
    """It says how many keys went with a key."""

    def test_of_what_was_done_to_a_parent(self, keeper: Client, parent: IssuedKey) -> None:
        for _ in range(2):
            child_of(parent)
        act(keeper, "disable", parent.key)
        act(keeper, "enable", parent.key)
        act(keeper, "revoke", parent.key, reason="leaked")
        html = html_of(keeper.get(f"{KEYS}{parent.key.pk}/history/"))
        for words in ("disabled: with 2 keys that it had", "enabled: with 2", "leaked; with 2"):
            assert words in html

    def test_of_a_child_and_its_end(
        self, keeper: Client, parent: IssuedKey, service_user: ServiceUser
    ) -> None:
        child = child_of(parent, lifetime=None, scopes=["sandbox:read"]).key
        shorten_key(child, datetime(2199, 12, 31, 12, tzinfo=UTC))
        shorten_key(child, datetime(2199, 12, 30, 12, tzinfo=UTC))
        html = html_of(keeper.get(f"{KEYS}{child.pk}/history/"))
        assert f"sandbox:read; never expires; by key {parent.key.pk}<" in html
        assert "expires at from never to 2199-12-31 12:00 UTC" in html
        assert "expires at from 2199-12-31 12:00 UTC to 2199-12-30 12:00 UTC" in html

    def test_of_a_rotation(self, keeper: Client, parent: IssuedKey) -> None:
        child_of(parent)
        rotate(keeper, parent.key)
        html = html_of(keeper.get(f"{KEYS}{parent.key.pk}/history/"))
        assert "it lives on for 1 day; 1 key that it had minted goes on" in html
