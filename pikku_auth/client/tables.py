"""Tables, and moments, for people who read a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from pikku_auth.client.text import MAX_ANSWER, printable

_SAMPLE = 1_000
"""Rows by which the columns are sized."""
_GAP = "  "
_NARROWEST = 8
_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], width: int | None
) -> Iterator[str]:
    """The lines of a table, no wider than ``width`` columns; without it, nothing is cut."""
    shown = ([printable(cell, MAX_ANSWER) for cell in row] for row in rows)
    sample = [[*columns], *islice(shown, _SAMPLE)]
    widths = _fitting([max(map(len, column)) for column in zip(*sample, strict=True)], width)
    for row in chain(sample, shown):
        cells = [_cell(cell, most, width) for cell, most in zip(row, widths, strict=True)]
        yield _GAP.join(cells).rstrip()


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago that was, in one unit."""
    if moment is None:
        return "never"
    passed = now - moment
    return "just now" if passed < timedelta(minutes=1) else f"{_in_one_unit(passed)} ago"


def ahead(moment: datetime | None, now: datetime) -> str:
    """How long until then, in one unit; or how long ago that was."""
    if moment is None:
        return "never"
    return ago(moment, now) if moment <= now else f"in {_in_one_unit(moment - now)}"


def in_words(moment: datetime) -> str:
    """A moment to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _in_one_unit(duration: timedelta) -> str:
    for name, unit in _UNITS:
        if count := duration // unit:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def _fitting(widths: list[int], room: int | None) -> list[int]:
    """The widths, the widest ones cut so that a row fits."""
    if room is not None:
        room -= len(_GAP) * (len(widths) - 1)
        while sum(widths) > room and max(widths) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
    return widths


def _cell(text: str, most: int, room: int | None) -> str:
    is_cut = room is not None and len(text) > most
    return f"{text[: most - 1]}…" if is_cut else text.ljust(most)
