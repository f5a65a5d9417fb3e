"""Counting tries exactly, without keeping whose they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import TooManyAttempts
from pikku_auth.flows import throttling as module
from pikku_auth.flows.throttling import (
    CODES_ASKED_FOR,
    WRONG_CODES,
    give_back_attempts,
    network_limits,
    says_who,
    spend_attempt,
    spend_attempts,
)
from pikku_auth.models import Attempts

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TWO_A_MINUTE = Rate(2, timedelta(minutes=1))
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def spend(subject: str = "somebody", now: datetime = NOW) -> None:
    spend_attempt(subject, TWO_A_MINUTE, now)


def give_back(subject: str) -> None:
    give_back_attempts([(subject, TWO_A_MINUTE)])


def test_the_limits_are_five_wrong_codes_and_sixty_logins_in_ten_minutes() -> None:
    assert Rate(5, timedelta(minutes=10)) == WRONG_CODES
    assert Rate(60, timedelta(minutes=10)) == CODES_ASKED_FOR


def test_as_many_as_the_rate_are_let_through_and_not_one_more() -> None:
    spend()
    spend()
    with pytest.raises(TooManyAttempts):
        spend()
    assert Attempts.objects.get().count == 2


def test_the_refusal_says_how_long_to_wait() -> None:
    spend()
    spend(now=NOW + timedelta(seconds=20))
    with pytest.raises(TooManyAttempts) as refusal:
        spend(now=NOW + timedelta(seconds=20))
    assert refusal.value.retry_after == 40


def test_a_new_window_begins_to_the_microsecond() -> None:
    spend()
    spend()
    with pytest.raises(TooManyAttempts):
        spend(now=NOW + timedelta(minutes=1) - MICROSECOND)
    spend(now=NOW + timedelta(minutes=1))
    row = Attempts.objects.get()
    assert (row.expires_at, row.count) == (NOW + timedelta(minutes=2), 1)


def test_a_refused_try_does_not_prolong_the_window() -> None:
    spend()
    spend()
    for second in range(59):
        with pytest.raises(TooManyAttempts):
            spend(now=NOW + timedelta(seconds=second))
    spend(now=NOW + timedelta(minutes=1))


def test_subjects_are_counted_apart() -> None:
    spend("ada")
    spend("ada")
    spend("grace")
    with pytest.raises(TooManyAttempts):
        spend("ada")


def test_a_try_that_is_given_back_does_not_count() -> None:
    for _ in range(10):
        spend()
        give_back("somebody")
    assert Attempts.objects.get().count == 0


def test_what_was_never_spent_can_not_be_given_back() -> None:
    give_back("somebody")
    spend()
    give_back("somebody")
    give_back("somebody")
    assert Attempts.objects.get().count == 0


def test_a_flushed_cache_gives_nothing_back() -> None:
    spend()
    spend()
    cache.clear()
    with pytest.raises(TooManyAttempts):
        spend()


def test_who_tried_is_not_in_the_table() -> None:
    spend("address:192.0.2.7")
    row = Attempts.objects.get()
    assert "192" not in row.subject
    assert len(row.subject) == 64
    assert str(row) == "1 until 12:01:00"


def test_the_first_try_of_somebody_else_at_the_same_moment_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(key: str, end: datetime, using: str) -> bool:
        Attempts.objects.create(subject=key, expires_at=end, count=1)
        return first(key, end, using)

    first = module._first_attempt
    monkeypatch.setattr(module, "_first_attempt", too_late)
    spend()
    assert Attempts.objects.get().count == 2


def test_two_rows_for_one_subject_can_not_be() -> None:
    spend()
    key = Attempts.objects.get().subject
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempts.objects.create(subject=key, expires_at=NOW, count=0)


@pytest.mark.parametrize(
    ("address", "subjects"),
    [
        ("192.0.2.7", ["x:address:192.0.2.7"]),
        ("::ffff:192.0.2.7", ["x:address:192.0.2.7"]),
        (
            "2001:db8:1:2:3:4:5:6",
            [
                "x:network:2001:db8:1::/48",
                "x:network:2001:db8:1::/56",
                "x:network:2001:db8:1:2::/64",
            ],
        ),
        (None, ["x:address:None"]),
        ("nonsense", ["x:address:None"]),
    ],
)
def test_address_stands_for_its_subscriber(address: str | None, subjects: list[str]) -> None:
    assert [subject for subject, _ in network_limits("x", address, TWO_A_MINUTE)] == subjects


def test_larger_network_may_try_more_often_than_each_in_it() -> None:
    limits = network_limits("x", "2001:db8::1", TWO_A_MINUTE)
    assert [rate.count for _, rate in limits] == [20, 4, 2]


def tries(network: str, count: int) -> int:
    """How often the addresses of that pattern are let through."""
    admitted = 0
    for number in range(count):
        limits = network_limits("x", network.format(number), TWO_A_MINUTE)
        try:
            spend_attempts(limits, NOW)
        except TooManyAttempts:
            continue
        admitted += 1
    return admitted


@pytest.mark.parametrize(
    ("network", "admitted"),
    [("2001:db8::{:x}", 2), ("2001:db8:0:{:x}::", 4), ("2001:db8:0:{:x}00::", 20)],
)
def test_subscriber_gains_nothing_from_many_networks(network: str, admitted: int) -> None:
    assert tries(network, 50) == admitted
    assert Attempts.objects.count() <= 3 * admitted + 2


def test_network_that_is_used_up_costs_its_neighbours_nothing() -> None:
    tries("2001:db8::{:x}", 50)
    assert tries("2001:db8:0:1::{:x}", 50) == 2
    assert tries("2001:db8:0:100::{:x}", 50) == 2


@pytest.mark.parametrize(
    ("address", "answer"),
    [("192.0.2.7", True), ("10.0.0.7", True), ("2001:db8::1", True)]
    + [(address, False) for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "", None)],
)
def test_address_that_all_callers_share_says_nothing(address: str | None, answer: bool) -> None:
    assert says_who(address) is answer
