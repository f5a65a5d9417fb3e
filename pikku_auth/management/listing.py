"""Commands that list rows: a table that fits the terminal, or JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Model
from django.utils.timesince import timesince, timeuntil

from pikku_auth.flows.database import primary
from pikku_auth.management.base import PikkuCommand, argument
from pikku_auth.management.output import why_empty

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
            "--limit", type=argument(_positive), metavar="N", help="The first N rows."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def write_json(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write an array of objects."""
        self.stdout.write(json.dumps(list(rows), indent=2, ensure_ascii=False))

    def write_table(
        self,
        rows: Sequence[Sequence[str]],
        options: dict[str, Any],
        styled: Callable[[Sequence[str]], tuple[int, Style] | None] = lambda row: None,
    ) -> None:
        """Write a table; ``styled`` names the column of a row to colour, and how."""
        if not rows:
            self.note(why_empty(self.model._default_manager.using(primary()), self.first), options)
            return
        table = [self.columns, *rows]
        widths = _fitting([max(map(len, column)) for column in zip(*table, strict=True)], self)
        for row in table:
            cells = [_cut(cell, width) for cell, width in zip(row, widths, strict=True)]
            style = None if row is self.columns else styled(row)
            if style is not None:
                cells[style[0]] = style[1](cells[style[0]])
            self.stdout.write(_GAP.join(cells).rstrip())


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
        return int(text)
    raise ValueError("write a whole number above 0")


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


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


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
