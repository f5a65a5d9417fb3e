"""Changing from where and how often keys may be used, one or many, in the admin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from pikku_auth.core.limits import parse_rate
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    mint_key,
    revoke_key,
    set_key_bounds,
    set_service_user_scopes,
)
from pikku_auth.models import APIKey, AuditEvent
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, act, html_of, messages_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
OLD, NEW = "192.0.2.0/24", "198.51.100.0/24"


@pytest.fixture
def keeper(staff: Staff) -> Client:
    return staff("view_apikey", "change_apikey", "mint_apikey", "grant_any_scope")


@pytest.fixture
def helper(staff: Staff) -> Client:
    """May change keys, and not mint them."""
    return staff("view_apikey", "change_apikey", "grant_any_scope", name="helper")


def change(client: Client, *keys: Any, **typed: Any) -> Any:
    """Open the page that asks, type, and send all that the form has."""
    page = html_of(client.get(f"{KEYS}act/bounds/?ids={','.join(str(key.pk) for key in keys)}"))
    inputs = re.findall(r'<input type="\w+" name="([\w-]+)"(?: value="([^"]*)")?', page)
    form = {name: value for name, value in inputs if name not in {"ids", "csrfmiddlewaretoken"}}
    form["networks"] = form["initial-networks"]
    return act(client, "bounds", *keys, **{**form, **typed})


def test_a_new_office_range_for_every_key(keeper: Client, mint: Mint) -> None:
    keys = [mint(networks=[OLD], quota=number).key for number in (5, 6)]
    done = change(keeper, *keys, networks=f"{NEW}\r\n203.0.113.9")
    assert messages_of(done) == ["Changed the bounds of 2 keys."]
    for key in APIKey.objects.all():
        assert key.networks == [NEW, "203.0.113.9/32"]
    assert {key.remaining for key in APIKey.objects.all()} == {5, 6}
    assert AuditEvent.objects.filter(action="key_bounds_set", source="admin").count() == 2
    told = [entry.get_change_message() for entry in LogEntry.objects.all()]
    assert told == ["Changed the bounds."] * 2


def test_the_page_shows_what_holds_and_what_differs(keeper: Client, mint: Mint) -> None:
    one = mint(networks=[OLD], rate=parse_rate("10/m"), quota=5).key
    other = mint(networks=[OLD], rate=parse_rate("9/m"), quota=5).key
    html = html_of(keeper.get(f"{KEYS}act/bounds/?ids={one.pk},{other.pk}"))
    assert "Change the bounds of 2 API keys of sandbox-runtime?" in html
    assert f">\n{OLD}</textarea>" in html
    assert 'name="quota" value="5"' in html
    assert html.count("These differ. Leave it empty to keep them.") == 1
    assert 'name="rate" value' not in html


def test_what_somebody_else_has_changed_meanwhile_stays(keeper: Client, mint: Mint) -> None:
    key = mint(networks=[OLD]).key
    form = {"initial-networks": OLD, "networks": OLD, "initial-rate": "", "rate": "5/s"}
    set_key_bounds(key, networks=[NEW])
    act(keeper, "bounds", key, **form)
    stored = APIKey.objects.get()
    assert (stored.networks, str(stored.rate)) == ([NEW], "5/s")


def test_a_quota_that_is_used_up_may_be_left_as_it_is(keeper: Client, mint: Mint) -> None:
    key = mint(quota=1).key
    APIKey.objects.update(remaining=0)
    assert messages_of(change(keeper, key, rate="5/s")) == ["Changed the bounds of 1 key."]
    assert APIKey.objects.get().remaining == 0


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "Nothing was changed here."),
        ({"networks": "192.0.2.1/24"}, "did you mean 192.0.2.0/24"),
        ({"rate": "fast"}, "is not a rate"),
        ({"quota": "0"}, "A quota must be from 1"),
        ({"refill": "9/1d"}, "A refill needs a quota"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    keeper: Client, mint: Mint, typed: dict[str, str], words: str
) -> None:
    page = change(keeper, mint().key, **typed)
    assert words in html_of(page)
    assert not AuditEvent.objects.filter(action="key_bounds_set").exists()


def test_who_may_not_mint_may_narrow(helper: Client, mint: Mint) -> None:
    key = mint(networks=["192.0.0.0/16"]).key
    assert messages_of(change(helper, key, networks=OLD)) == ["Changed the bounds of 1 key."]


@pytest.mark.parametrize("lacking", ["mint_apikey", "scope of the ceiling", "right of the machine"])
def test_who_could_not_make_such_a_key_may_not_widen_it(
    staff: Staff, mint: Mint, make_user: Callable[..., Any], lacking: str
) -> None:
    given = {"view_apikey", "change_apikey", "mint_apikey"} - {lacking}
    key = mint(networks=[OLD], scopes=["sandbox:read"]).key
    if lacking != "scope of the ceiling":
        set_service_user_scopes(key.service_user, ["sandbox:read"])
    if lacking == "right of the machine":
        machine = create_service_user("powerful", user=make_user("powerful", is_active=True))
        set_service_user_scopes(machine, ["sandbox:read"])
        grant_delete(machine.user)
        key = mint_key(machine, networks=[OLD], scopes=["sandbox:read"]).key
    page = change(staff(*given), key, networks="")
    assert "the right to mint it" in html_of(page)
    assert APIKey.objects.get(pk=key.pk).networks == [OLD]


def grant_delete(user: Any) -> None:
    user.user_permissions.add(
        Permission.objects.get(codename="delete_apikey", content_type__app_label="pikku_auth")
    )


def test_one_that_may_not_be_changed_keeps_all_as_they_were(helper: Client, mint: Mint) -> None:
    wide, narrow = mint(networks=["192.0.0.0/16"]).key, mint(networks=["192.0.2.7"]).key
    page = change(helper, wide, narrow, networks=OLD)
    assert "the right to mint it" in html_of(page)
    assert APIKey.objects.get(pk=wide.pk).networks == ["192.0.0.0/16"]


def test_a_dead_key_has_no_button(keeper: Client, mint: Mint) -> None:
    key = mint().key
    assert "act/bounds/" in html_of(keeper.get(f"{KEYS}{key.pk}/change/"))
    revoke_key(key)
    assert "act/bounds/" not in html_of(keeper.get(f"{KEYS}{key.pk}/change/"))


def test_its_story_is_told(keeper: Client, mint: Mint) -> None:
    key = mint(quota=9).key
    change(keeper, key, networks=OLD, quota="")
    told = html_of(keeper.get(f"{KEYS}{key.pk}/history/"))
    assert f"allowed networks from any to {OLD}; quota from 9 to none" in told
