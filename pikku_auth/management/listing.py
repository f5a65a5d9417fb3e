"""Commands that list rows: a table that fits the terminal, or JSON.

However many there are: rows are read and written a page at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, islice
from textwrap import indent
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from django.db.models import Model, Q, QuerySet
from django.utils.timesince import timesince, timeuntil

from pikku_auth.core.arguments import argument
from pikku_auth.flows.database import primary
from pikku_auth.management.base import PikkuCommand, positive
from pikku_auth.management.output import why_empty

M = TypeVar("M", bound=Model)

PAGE = 1_000
"""Rows that a statement reads at most, and by which the columns of a table are sized."""

_GAP = "  "
_NARROWEST = 8

Style = Callable[[str], str]


class ListingCommand(PikkuCommand):
    """A command whose answer is rows.

    Where there is none, it says on stderr how the first one comes to be.
    """

    columns: Sequence[str] = ()
    model: type[Model]
    first = ""

    def add_arguments(self, parser: CommandParser) -> None:
        """How many, and how."""
        parser.add_argument(
            "--limit", type=argument(positive), metavar="N", help="The first N rows."
        )
        parser.add_argument(
            "--format",
            choices=["text", "json", "jsonl"],
            default="text",
            help="A table, an array of objects, or an object a line.",
        )

    def write_json(self, rows: Iterable[dict[str, Any]], options: dict[str, Any]) -> None:
        """Write an array of objects, or an object a line."""
        if options["format"] == "jsonl":
            for row in rows:
                self.stdout.write(json.dumps(row, ensure_ascii=False))
            return
        opening, closing = "[", "[]"
        for row in rows:
            self.stdout.write(opening, ending="\n")
            text = json.dumps(row, indent=2, ensure_ascii=False)
            self.stdout.write(indent(text, "  "), ending="")
            opening, closing = ",", "\n]"
        self.stdout.write(closing)

    def write_table(
        self,
        rows: Iterable[Sequence[str]],
        options: dict[str, Any],
        styled: Callable[[Sequence[str]], tuple[int, Style] | None] = lambda row: None,
    ) -> None:
        """Write a table; ``styled`` names the column of a row to colour, and how."""
        rows = iter(rows)
        sample = list(islice(rows, PAGE))
        if not sample:
            self.note(why_empty(self.model._default_manager.using(primary()), self.first), options)
            return
        sample.insert(0, self.columns)
        widths = _fitting([max(map(len, column)) for column in zip(*sample, strict=True)], self)
        for row in chain(sample, rows):
            cells = [self._cell(cell, width) for cell, width in zip(row, widths, strict=True)]
            style = None if row is self.columns else styled(row)
            if style is not None:
                cells[style[0]] = style[1](cells[style[0]])
            self.stdout.write(_GAP.join(cells).rstrip())

    def _cell(self, text: str, width: int) -> str:
        is_cut = len(text) > width and _is_terminal(self.stdout)
        return f"{text[: width - 1]}…" if is_cut else text.ljust(width)


def pages_of(
    rows: QuerySet[M], *fields: str, limit: int | None = None, descending: bool = False
) -> Iterator[list[M]]:
    """The first ``limit`` of ``rows`` in the order of ``fields``, a page at a time.

    Each page begins after the last row of the one before. A cursor would not do: some databases'
    drivers fetch all of it first. ``fields`` must tell any two rows apart, and have no ``NULL``.
    """
    sign, beyond = ("-", "lt") if descending else ("", "gt")
    rows, rest = rows.order_by(*(f"{sign}{field}" for field in fields)), Q()
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = list(rows.filter(rest)[:size])
        yield page
        if len(page) < size:
            return
        left = None if left is None else left - size
        rest, same = Q(), Q()
        for field in fields:
            value = getattr(page[-1], field)
            rest |= same & Q(**{f"{field}__{beyond}": value})
            same &= Q(**{field: value})


def in_pages(
    rows: QuerySet[M], *fields: str, limit: int | None = None, descending: bool = False
) -> Iterator[M]:
    """As :func:`pages_of`, row by row."""
    return chain.from_iterable(pages_of(rows, *fields, limit=limit, descending=descending))


def _fitting(widths: list[int], command: PikkuCommand) -> list[int]:
    """The widths, the widest ones cut so that a row fits the terminal, if that is one."""
    if not _is_terminal(command.stdout):
        return widths
    room = shutil.get_terminal_size().columns - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _is_terminal(stream: Any) -> bool:
    with suppress(ValueError):  # it is closed
        return bool(stream.isatty())
    return False


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago that was, in one unit."""
    if moment is None:
        return "never"
    if now - moment < timedelta(minutes=1):
        return "just now"
    return f"{_plain(timesince(moment, now, depth=1))} ago"


def ahead(moment: datetime | None, now: datetime) -> str:
    """How long until then, in one unit; or how long ago that was."""
    if moment is None:
        return "never"
    return ago(moment, now) if moment <= now else f"in {_plain(timeuntil(moment, now, depth=1))}"


def iso(moment: datetime | None) -> str | None:
    """A moment as scripts read it."""
    return None if moment is None else moment.isoformat()


def _plain(text: str) -> str:
    return text.replace("\xa0", " ")
