"""Rates, fixed windows and refills, without a clock of their own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.durations import LONGEST
from pikku_auth.core.limits import (
    MAX_COUNT,
    Rate,
    last_refill,
    parse_rate,
    seconds_until,
    window_start,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)

moments = st.timedeltas(-LONGEST / 2, LONGEST / 2).map(lambda passed: NOON + passed)
periods = st.integers(1, 10**9).map(lambda seconds: timedelta(seconds=seconds))
counts = st.integers(1, MAX_COUNT)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", Rate(5, SECOND)),
        ("100/m", Rate(100, timedelta(minutes=1))),
        ("1000/h", Rate(1000, timedelta(hours=1))),
        ("1/d", Rate(1, timedelta(days=1))),
        ("1/w", Rate(1, timedelta(weeks=1))),
        ("10/15m", Rate(10, timedelta(minutes=15))),
        ("10/1h30m", Rate(10, timedelta(minutes=90))),
        ("2147483647/s", Rate(MAX_COUNT, SECOND)),
    ],
)
def test_a_rate_is_a_number_a_slash_and_a_unit_or_a_duration(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "100",
        "/m",
        "100/",
        "-1/m",
        "1.5/m",
        "100 / m",
        " 100/m",
        "100/m ",
        "100/M",
        "100/minute",
        "100/-5m",
        "100/m/s",
        "m/100",
        "\u0661/m",
        "1/\u0661m",
        "99999999999/m",
    ],
)
def test_what_is_not_a_rate_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate: write for example 100/m, 5/s"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0/m", "from 1 to 2147483647"),
        ("2147483648/m", "from 1 to 2147483647"),
        ("1/0s", "longer than zero"),
        ("1/36501d", "century"),
        ("1/5x", "'5x' is not a duration"),
    ],
)
def test_a_rate_out_of_bounds_is_refused_with_the_bound(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_rate(text)


@given(counts, periods)
def test_a_rate_that_is_written_reads_back_the_same(count: int, period: timedelta) -> None:
    rate = Rate(count, period)
    assert parse_rate(str(rate)) == rate


@given(st.text())
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    count = 1
    with suppress(ValueError):
        count = parse_rate(text).count
    assert 0 < count <= MAX_COUNT


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(100, timedelta(minutes=1)), "100/m"),
        (Rate(5, SECOND), "5/s"),
        (Rate(7, timedelta(days=1)), "7/d"),
        (Rate(10, timedelta(minutes=15)), "10/15m"),
        (Rate(1, timedelta(weeks=1)), "1/7d"),
    ],
)
def test_a_rate_is_written_shortly(rate: Rate, text: str) -> None:
    assert str(rate) == text


def test_a_rate_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Rate(1, SECOND).count = 2  # type: ignore[misc]


@pytest.mark.parametrize("count", [0, -1, MAX_COUNT + 1])
def test_the_number_in_a_rate_fits_every_database(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 2147483647"):
        Rate(count, SECOND)


@pytest.mark.parametrize("period", [timedelta(0), -SECOND, SECOND - TICK, LONGEST + TICK])
def test_a_period_is_at_least_a_second_and_at_most_a_century(period: timedelta) -> None:
    with pytest.raises(ValueError, match=r"than zero|at least a second|at most a century"):
        Rate(1, period)


@pytest.mark.parametrize("period", [SECOND, LONGEST])
def test_the_shortest_and_the_longest_period_are_taken(period: timedelta) -> None:
    assert Rate(1, period).period == period


@pytest.mark.parametrize(
    ("now", "window", "start"),
    [
        (NOON, timedelta(minutes=1), NOON),
        (NOON + timedelta(seconds=59), timedelta(minutes=1), NOON),
        (NOON - TICK, timedelta(minutes=1), NOON - timedelta(minutes=1)),
        (NOON, timedelta(days=1), NOON - timedelta(hours=12)),
        (NOON, LONGEST, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_windows_are_cut_from_the_epoch(now: datetime, window: timedelta, start: datetime) -> None:
    assert window_start(now, window) == start


@given(moments, periods)
def test_a_window_contains_the_moment_it_was_asked_about(now: datetime, window: timedelta) -> None:
    start = window_start(now, window)
    assert start <= now < start + window


@given(moments, periods)
def test_every_moment_of_a_window_has_the_same_start(now: datetime, window: timedelta) -> None:
    start = window_start(now, window)
    assert window_start(start, window) == start
    assert window_start(start + window - TICK, window) == start
    assert window_start(start + window, window) == start + window


def test_servers_in_different_time_zones_cut_the_same_windows() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert window_start(elsewhere, timedelta(days=1)) == window_start(NOON, timedelta(days=1))


@pytest.mark.parametrize(
    ("passed", "intervals"),
    [
        (timedelta(0), 0),
        (timedelta(hours=1) - TICK, 0),
        (timedelta(hours=1), 1),
        (timedelta(hours=2, minutes=59), 2),
        (timedelta(days=1), 24),
    ],
)
def test_a_refill_is_due_after_each_whole_interval(passed: timedelta, intervals: int) -> None:
    hour = timedelta(hours=1)
    assert last_refill(NOON + passed, NOON, hour) == NOON + intervals * hour


@pytest.mark.parametrize("behind", [TICK, timedelta(hours=1), timedelta(days=400)])
def test_a_clock_that_is_behind_takes_no_refill_back(behind: timedelta) -> None:
    assert last_refill(NOON - behind, NOON, timedelta(hours=1)) == NOON


@given(moments, moments, periods)
def test_the_next_refill_is_always_ahead(
    now: datetime, since: datetime, interval: timedelta
) -> None:
    due = last_refill(now, since, interval)
    assert due >= since
    assert due + interval > now


@given(moments, moments, periods)
def test_a_refill_that_was_taken_is_not_due_again(
    now: datetime, since: datetime, interval: timedelta
) -> None:
    due = last_refill(now, since, interval)
    assert last_refill(now, due, interval) == due


@pytest.mark.parametrize(
    ("ahead", "seconds"),
    [
        (timedelta(seconds=30), 30),
        (timedelta(seconds=29, microseconds=1), 30),
        (TICK, 1),
        (timedelta(0), 1),
        (timedelta(days=-1), 1),
    ],
)
def test_a_wait_is_rounded_up_and_at_least_a_second(ahead: timedelta, seconds: int) -> None:
    assert seconds_until(NOON + ahead, NOON) == seconds


@given(moments, moments)
def test_whoever_waits_that_long_is_not_too_early(moment: datetime, now: datetime) -> None:
    assert now + timedelta(seconds=seconds_until(moment, now)) >= moment
