"""From where and how often a live key may be used, changed by an audited verb."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from pikku_auth import signals
from pikku_auth.core.limits import Rate, parse_rate
from pikku_auth.exceptions import InvalidInput, KeyNotLive, LimitExceeded, NetworkNotAllowed
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    disable_key,
    revoke_key,
    set_key_bounds,
    verify_key,
)
from pikku_auth.models import APIKey, AuditEvent

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OFFICE, NEW_OFFICE = "192.0.2.7", "198.51.100.7"
A_MINUTE, A_DAY = parse_rate("10/m"), parse_rate("100/1d")


def test_a_new_office_range_needs_no_new_key(mint: Mint) -> None:
    issued = mint(networks=["192.0.2.0/24"])
    secret = issued.secret.reveal()
    assert set_key_bounds(issued.key, networks=["198.51.100.0/24"])
    assert verify_key(secret, ip=NEW_OFFICE)
    with pytest.raises(NetworkNotAllowed):
        verify_key(secret, ip=OFFICE)


def test_limits_hold_from_the_next_call_on(mint: Mint) -> None:
    issued = mint()
    secret = issued.secret.reveal()
    set_key_bounds(issued.key, rate=Rate(1, DAY))
    verify_key(secret)
    with pytest.raises(LimitExceeded):
        verify_key(secret)
    set_key_bounds(issued.key, rate=None, quota=1)
    verify_key(secret)
    with pytest.raises(LimitExceeded):
        verify_key(secret)
    set_key_bounds(issued.key, quota=None)
    assert verify_key(secret)


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        ({"networks": []}, {"networks": []}),
        ({"rate": A_DAY}, {"rate": A_DAY}),
        ({"quota": 5}, {"remaining": 5}),
        ({"refill": None}, {"refill": None}),
        ({"quota": None}, {"remaining": None, "refill": None}),
    ],
)
def test_what_is_not_named_stays(mint: Mint, bounds: Any, left: dict[str, Any]) -> None:
    given = {"networks": ["192.0.2.0/24"], "rate": A_MINUTE, "quota": 50, "refill": A_DAY}
    key = mint(**given, scopes=["sandbox:read"], metadata={"sandbox": "b2f7"}).key
    assert set_key_bounds(key, **bounds)
    expected = {"networks": ["192.0.2.0/24"], "rate": A_MINUTE, "remaining": 50, "refill": A_DAY}
    for seen in (key, APIKey.objects.get()):
        assert {name: getattr(seen, name) for name in expected} == {**expected, **left}
        assert (seen.scopes, seen.metadata) == (["sandbox:read"], {"sandbox": "b2f7"})


def test_a_quota_that_is_used_up_stays_so(mint: Mint) -> None:
    issued = mint(quota=1, refill=A_DAY)
    verify_key(issued.secret.reveal())
    set_key_bounds(issued.key, networks=["192.0.2.0/24"])
    assert APIKey.objects.get().remaining == 0


def test_a_new_refill_is_counted_from_now(mint: Mint) -> None:
    issued = mint(quota=1, lifetime=None, now=NOW)
    later = NOW + 100 * DAY
    set_key_bounds(issued.key, refill=A_DAY, now=later)
    secret = issued.secret.reveal()
    verify_key(secret, now=later)
    with pytest.raises(LimitExceeded):
        verify_key(secret, now=later)
    assert verify_key(secret, now=later + DAY)


def test_what_is_so_already_is_not_recorded(mint: Mint) -> None:
    key = mint(networks=["192.0.2.0/24"], rate=A_MINUTE).key
    before = AuditEvent.objects.count()
    assert not set_key_bounds(key, networks=["192.0.2.0/24"], rate=A_MINUTE)
    assert not set_key_bounds(key)
    assert AuditEvent.objects.count() == before


def test_the_record_says_what_was_and_what_is(
    mint: Mint, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    key = mint(networks=["192.0.2.0/24"], quota=9).key
    told: list[Any] = []

    def receive(**given: Any) -> None:
        told.append((given["key"].pk, given["before"], given["context"].source))

    signals.key_bounds_set.connect(receive)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            bounds: Any = {"networks": [], "rate": A_MINUTE, "quota": 9}
            set_key_bounds(key, context=AuditContext(source="web"), **bounds)
    finally:
        signals.key_bounds_set.disconnect(receive)
    event = AuditEvent.objects.latest("pk")
    was = {"networks": ["192.0.2.0/24"], "rate": None}
    assert event.action == "key_bounds_set"
    assert event.details == {"before": was, "after": {"networks": [], "rate": "10/m"}}
    assert told == [(key.pk, was, "web")]


def test_a_disabled_key_is_still_alive(mint: Mint) -> None:
    key = mint().key
    disable_key(key)
    assert set_key_bounds(key, quota=5)


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_dead_key_stays_as_it_was(mint: Mint, end: str) -> None:
    key = mint(lifetime=DAY, now=NOW).key
    if end == "revoked":
        revoke_key(key, now=NOW)
    with pytest.raises(KeyNotLive, match="revoked or expired"):
        set_key_bounds(key, quota=5, now=NOW + (DAY if end == "expired" else DAY / 2))
    assert APIKey.objects.get().remaining is None


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        ({"networks": ["192.0.2.1/24"]}, "networks"),
        ({"networks": "192.0.2.0/24"}, "networks"),
        ({"rate": "10/m"}, "rate"),
        ({"quota": 0}, "quota"),
        ({"quota": "5"}, "quota"),
        ({"refill": A_DAY}, "refill"),
        ({"quota": None, "refill": A_DAY}, "refill"),
    ],
)
def test_a_value_that_breaks_its_rule_changes_nothing(mint: Mint, bounds: Any, field: str) -> None:
    key = mint().key
    with pytest.raises(InvalidInput) as refusal:
        set_key_bounds(key, **{"rate": A_MINUTE, **bounds})
    assert refusal.value.field == field
    assert APIKey.objects.get().rate is None


NARROWER: list[tuple[Any, Any]] = [
    ({}, {"networks": ["192.0.2.0/24"]}),
    ({"networks": ["192.0.2.0/24"]}, {"networks": ["192.0.2.128/25", "192.0.2.7"]}),
    ({"networks": ["192.0.2.0/25", "192.0.2.128/25"]}, {"networks": ["192.0.2.0/24"]}),
    ({"networks": ["2001:db8::/32", "192.0.2.0/24"]}, {"networks": ["2001:db8:1::/48"]}),
    ({}, {"rate": A_MINUTE}),
    ({"rate": A_MINUTE}, {"rate": parse_rate("9/m")}),
    ({"rate": A_MINUTE}, {"rate": parse_rate("10/h")}),
    ({}, {"quota": 1_000, "refill": A_DAY}),
    ({"quota": 9}, {"quota": 8}),
    ({"quota": 9, "refill": A_DAY}, {"refill": parse_rate("100/2d")}),
    ({"quota": 9, "refill": A_DAY}, {"refill": None}),
]
WIDER: list[tuple[Any, Any]] = [
    ({"networks": ["192.0.2.0/24"]}, {"networks": []}),
    ({"networks": ["192.0.2.0/24"]}, {"networks": ["192.0.0.0/16"]}),
    ({"networks": ["192.0.2.0/24"]}, {"networks": ["192.0.2.0/25", "198.51.100.0/24"]}),
    ({"networks": ["192.0.2.0/24"]}, {"networks": ["2001:db8::/32"]}),
    ({"networks": ["2001:db8::/32"]}, {"networks": ["192.0.2.0/24"]}),
    ({"rate": A_MINUTE}, {"rate": None}),
    ({"rate": A_MINUTE}, {"rate": parse_rate("11/m")}),
    ({"rate": A_MINUTE}, {"rate": parse_rate("10/30s")}),
    ({"quota": 9}, {"quota": None}),
    ({"quota": 9}, {"quota": 10}),
    ({"quota": 9}, {"refill": A_DAY}),
    ({"quota": 9, "refill": A_DAY}, {"refill": parse_rate("101/1d")}),
    ({"quota": 9, "refill": A_DAY}, {"refill": parse_rate("100/12h")}),
]


@pytest.mark.parametrize(("given", "bounds"), NARROWER)
def test_who_may_not_mint_may_narrow(mint: Mint, given: Any, bounds: Any) -> None:
    assert set_key_bounds(mint(**given).key, narrow_only=True, **bounds)


@pytest.mark.parametrize(("given", "bounds"), WIDER)
def test_who_may_not_mint_may_not_widen_or_move(mint: Mint, given: Any, bounds: Any) -> None:
    key = mint(**given).key
    with pytest.raises(InvalidInput, match="the right to mint it"):
        set_key_bounds(key, narrow_only=True, **bounds)
    stored = APIKey.objects.get()
    for seen in (key, stored):
        assert (seen.networks, seen.rate) == (given.get("networks", []), given.get("rate"))
        assert (seen.remaining, seen.refill) == (given.get("quota"), given.get("refill"))
    assert not AuditEvent.objects.filter(action="key_bounds_set").exists()
    assert set_key_bounds(key, **bounds)
