"""Counting tries exactly, without keeping whose they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import TooManyAttempts
from pikku_auth.flows import attempts as module
from pikku_auth.flows.attempts import (
    CODES_ASKED_FOR,
    WRONG_CODES,
    address_subject,
    claim_once,
    give_back_attempt,
    spend_attempt,
)
from pikku_auth.flows.pruning import prune
from pikku_auth.models import Attempts

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TWO_A_MINUTE = Rate(2, timedelta(minutes=1))
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def spend(subject: str = "somebody", now: datetime = NOW) -> None:
    spend_attempt(subject, TWO_A_MINUTE, now)


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
    assert (row.window_started_at, row.count) == (NOW + timedelta(minutes=1), 1)


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
        give_back_attempt("somebody")
    assert Attempts.objects.get().count == 0


def test_what_was_never_spent_can_not_be_given_back() -> None:
    give_back_attempt("somebody")
    spend()
    give_back_attempt("somebody")
    give_back_attempt("somebody")
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
    assert str(row) == "1 since 12:00:00"


def test_the_first_try_of_somebody_else_at_the_same_moment_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(key: str, now: datetime, using: str) -> bool:
        Attempts.objects.create(subject=key, window_started_at=now, count=1)
        return first(key, now, using)

    first = module._first_attempt
    monkeypatch.setattr(module, "_first_attempt", too_late)
    spend()
    assert Attempts.objects.get().count == 2


def test_two_rows_for_one_subject_can_not_be() -> None:
    spend()
    key = Attempts.objects.get().subject
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempts.objects.create(subject=key, window_started_at=NOW, count=0)


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "address:2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        (None, "address:None"),
        ("nonsense", "address:None"),
    ],
)
def test_an_address_stands_for_its_subscriber(address: str | None, subject: str) -> None:
    assert address_subject(address) == subject


class TestClaiming:
    """What may happen once."""

    def test_is_for_the_first_alone(self) -> None:
        assert [claim_once("form:1", NOW), claim_once("form:2", NOW)] == [True, True]
        assert not claim_once("form:1", NOW + timedelta(hours=12))

    def test_is_undone_with_what_it_was_for(self) -> None:
        with transaction.atomic():
            claim_once("form:1", NOW)
            transaction.set_rollback(True)
        assert claim_once("form:1", NOW)

    def test_is_remembered_for_a_day(self) -> None:
        claim_once("form:1", NOW)
        forever = timedelta(days=999)
        for later, is_free in ((DAY, False), (DAY + MICROSECOND, True)):
            prune(keys_older_than=forever, events_older_than=forever, now=NOW + later)
            assert claim_once("form:1", NOW) is is_free
