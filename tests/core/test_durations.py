"""Durations as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.durations import (
    LONGEST,
    format_duration,
    parse_duration,
    require_positive,
)

whole_seconds = st.integers(1, int(LONGEST.total_seconds())).map(lambda n: timedelta(seconds=n))


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1w2d3h4m5s", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
        ("0d1s", timedelta(seconds=1)),
        ("007d", timedelta(days=7)),
        ("100m", timedelta(minutes=100)),
        (" 90d\n", timedelta(days=90)),
        ("36500d", LONGEST),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@given(whole_seconds)
def test_what_is_written_reads_back_the_same(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text())
def test_any_text_is_a_positive_duration_or_a_value_error(text: str) -> None:
    duration = LONGEST
    with suppress(ValueError):
        duration = parse_duration(text)
    assert timedelta(0) < duration <= LONGEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "90",
        "d",
        "-1d",
        "+1d",
        "1.5h",
        "1d 2h",
        "1h1d",
        "1d1d",
        "90D",
        "3months",
        "1y",
        "never",
        "1d\0",
        "\u0661d",
        "\uff11d",
        "1\u0501",
        "9" * 10 + "s",
    ],
)
def test_what_is_not_a_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: .*90d, 12h.*1h30m"):
        parse_duration(text)


def test_the_refusal_quotes_what_was_written() -> None:
    with pytest.raises(ValueError, match="'3months'"):
        parse_duration("3months")


@pytest.mark.parametrize("text", ["0s", "0d", "0w0d0h0m0s"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than zero"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "999999999w", "36500d1s", "5214w3d", "999999999d1s"])
def test_more_than_a_century_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="century"):
        parse_duration(text)


@pytest.mark.parametrize("duration", [timedelta(microseconds=1), timedelta(days=90), LONGEST])
def test_a_positive_duration_is_given_back(duration: timedelta) -> None:
    assert require_positive(duration) is duration


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(microseconds=-1), timedelta.min])
def test_a_duration_that_is_not_positive_is_refused(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="longer than zero"):
        require_positive(duration)


@pytest.mark.parametrize("duration", [LONGEST + timedelta(microseconds=1), timedelta.max])
def test_a_duration_beyond_a_century_is_refused(duration: timedelta) -> None:
    with pytest.raises(ValueError, match=r"at most a century \(36500d\)"):
        require_positive(duration)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=90), "90d"),
        (timedelta(weeks=2), "14d"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=1, seconds=1), "1d1s"),
        (timedelta(seconds=1.9), "1s"),
        (timedelta(microseconds=1), "0s"),
        (timedelta(0), "0s"),
    ],
)
def test_a_duration_is_written_in_whole_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text
