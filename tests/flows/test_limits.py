"""Rates and quotas: what they allow, and that a refused call burns nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.limits import Rate, parse_rate
from pikku_auth.exceptions import (
    InsufficientScope,
    InvalidKey,
    LimitExceeded,
    NetworkNotAllowed,
    Unavailable,
)
from pikku_auth.flows import IssuedKey, disable_key, revoke_key, verify_key
from pikku_auth.models import APIKey
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def use(issued: IssuedKey, at: datetime = NOON, **options: Any) -> None:
    verify_key(issued.secret.reveal(), now=at, **options)


def is_allowed(issued: IssuedKey, at: datetime = NOON) -> bool:
    try:
        use(issued, at)
    except LimitExceeded:
        return False
    return True


def retry_after(issued: IssuedKey, at: datetime = NOON) -> int | None:
    with pytest.raises(LimitExceeded) as refusal:
        use(issued, at)
    return refusal.value.retry_after


def counters(issued: IssuedKey) -> tuple[int, int | None]:
    key = APIKey.objects.get(pk=issued.key.pk)
    return key.window_calls, key.remaining


class TestRate:
    """So many calls in each fixed window."""

    def test_as_many_calls_as_the_rate_says_are_allowed(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("3/m"))
        assert [is_allowed(issued) for _ in range(5)] == [True, True, True, False, False]

    def test_a_new_window_starts_afresh_however_busy_the_last_one_was(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("2/m"))
        allowed = [is_allowed(issued, NOON + timedelta(seconds=15 * n)) for n in range(8)]
        assert allowed == [True, True, False, False] * 2

    def test_the_caller_learns_when_the_next_window_starts(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("1/m"))
        use(issued, NOON + timedelta(seconds=10))
        assert retry_after(issued, NOON + timedelta(seconds=10, microseconds=1)) == 50
        assert retry_after(issued, NOON + timedelta(seconds=59, microseconds=999_999)) == 1
        assert is_allowed(issued, NOON + timedelta(seconds=60))

    def test_a_server_whose_clock_is_behind_opens_no_window_of_its_own(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("1/m"))
        use(issued, NOON)
        assert not is_allowed(issued, NOON - timedelta(seconds=2))
        assert not is_allowed(issued, NOON + timedelta(seconds=1))

    def test_keys_are_counted_apart(self, mint: Mint) -> None:
        first, second = mint(rate=parse_rate("1/m")), mint(rate=parse_rate("1/m"))
        use(first)
        assert is_allowed(second)


class TestQuota:
    """So many calls in all."""

    def test_as_many_calls_as_the_quota_says_are_allowed(self, mint: Mint) -> None:
        issued = mint(quota=2)
        assert [is_allowed(issued) for _ in range(4)] == [True, True, False, False]

    def test_waiting_for_a_quota_that_is_never_refilled_is_in_vain(self, mint: Mint) -> None:
        issued = mint(quota=1)
        use(issued)
        assert retry_after(issued) is None

    def test_a_refill_sets_the_quota_back_rather_than_adding_to_it(self, mint: Mint) -> None:
        issued = mint(quota=5, refill=Rate(2, timedelta(days=1)), now=NOON)
        tomorrow = NOON + timedelta(days=1)
        assert [is_allowed(issued, tomorrow) for _ in range(3)] == [True, True, False]

    def test_the_caller_learns_when_the_quota_is_refilled(self, mint: Mint) -> None:
        issued = mint(quota=1, refill=Rate(1, timedelta(hours=1)), now=NOON)
        use(issued, NOON)
        assert retry_after(issued, NOON + timedelta(minutes=59)) == 60
        assert is_allowed(issued, NOON + timedelta(hours=1))

    def test_refills_keep_to_whole_intervals(self, mint: Mint) -> None:
        issued = mint(quota=1, refill=Rate(1, timedelta(hours=1)), now=NOON)
        use(issued, NOON + timedelta(hours=2, minutes=30))
        assert retry_after(issued, NOON + timedelta(hours=2, minutes=45)) == 15 * 60

    def test_a_clock_that_jumps_back_refills_nothing(self, mint: Mint) -> None:
        issued = mint(quota=1, refill=Rate(1, timedelta(hours=1)), now=NOON)
        use(issued, NOON + timedelta(hours=1))
        assert not is_allowed(issued, NOON)


class TestARefusedCallBurnsNothing:
    """Whatever it was refused for."""

    def test_for_the_rate(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("1/m"), quota=10)
        use(issued)
        assert not is_allowed(issued)
        assert counters(issued) == (1, 9)

    def test_for_the_quota(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("10/m"), quota=1)
        use(issued)
        assert not is_allowed(issued)
        assert counters(issued) == (1, 0)

    def test_for_the_network(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("10/m"), quota=10, networks=["192.0.2.0/24"])
        with pytest.raises(NetworkNotAllowed):
            use(issued, ip="198.51.100.1")
        assert counters(issued) == (0, 10)

    def test_for_a_scope(self, mint: Mint) -> None:
        issued = mint(rate=parse_rate("10/m"), quota=10)
        with pytest.raises(InsufficientScope):
            use(issued, scopes=["sandbox:read"])
        assert counters(issued) == (0, 10)

    def test_for_being_disabled(self, mint: Mint) -> None:
        issued = mint(quota=10)
        disable_key(issued.key)
        with pytest.raises(InvalidKey):
            use(issued)
        assert counters(issued) == (0, 10)


class Meanwhile:
    """Does something behind the back of the first UPDATE, as another process would."""

    def __init__(self, act: Callable[[], object], times: int = 1) -> None:
        self.act, self.times, self.acting = act, times, False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and self.times and not self.acting:
            self.times -= 1
            self.acting = True
            self.act()
            self.acting = False
        return execute(sql, params, many, context)


def test_a_key_revoked_between_reading_and_counting_is_refused(mint: Mint) -> None:
    issued = mint(quota=10)

    def revoke() -> None:
        revoke_key(APIKey.objects.get(pk=issued.key.pk))

    with connection.execute_wrapper(Meanwhile(revoke)), pytest.raises(InvalidKey):
        use(issued)
    assert counters(issued) == (0, 10)


def test_the_last_call_taken_by_another_process_is_refused(mint: Mint) -> None:
    issued = mint(quota=1)
    rows = APIKey.objects.filter(pk=issued.key.pk)

    def take() -> None:
        rows.update(remaining=0)

    with connection.execute_wrapper(Meanwhile(take)), pytest.raises(LimitExceeded):
        use(issued)


def test_a_window_opened_by_another_process_is_counted_on(mint: Mint) -> None:
    issued = mint(rate=parse_rate("5/m"))
    rows = APIKey.objects.filter(pk=issued.key.pk)

    def open_window() -> None:
        rows.update(window_started_at=NOON, window_calls=3)

    with connection.execute_wrapper(Meanwhile(open_window)):
        use(issued)
    assert counters(issued) == (4, None)


def test_a_row_that_never_holds_still_is_an_outage_and_not_a_free_call(mint: Mint) -> None:
    issued = mint(quota=100)
    rows = APIKey.objects.filter(pk=issued.key.pk)
    moments = iter(NOON + timedelta(seconds=n) for n in range(100))

    def disturb() -> None:
        rows.update(refilled_at=next(moments))

    with connection.execute_wrapper(Meanwhile(disturb, times=50)), pytest.raises(Unavailable):
        use(issued)
    assert counters(issued) == (0, 100)


@given(
    calls=st.lists(st.integers(min_value=0, max_value=400), max_size=40).map(sorted),
    most=st.integers(min_value=1, max_value=5),
    quota=st.integers(min_value=1, max_value=20),
)
@fewer(60)
def test_no_window_and_no_quota_ever_admits_one_too_many(
    mint: Mint, calls: list[int], most: int, quota: int
) -> None:
    issued = mint(rate=Rate(most, timedelta(minutes=1)), quota=quota)
    admitted: list[int] = []
    for second in calls:
        window = [earlier for earlier in admitted if earlier // 60 == second // 60]
        expected = len(window) < most and len(admitted) < quota
        assert is_allowed(issued, NOON + timedelta(seconds=second)) is expected
        if expected:
            admitted.append(second)
