"""Read what the admin and ``list_events`` export of the audit trail: CSV, JSON, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from pikku_auth.flows.reapply import ExportedEvent


def read_export(path: Path) -> list[ExportedEvent]:
    """The events in the file, in its order.

    :raises CommandError: when it can't be read, or is no export, naming the row that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} can't be read ({error}).") from None
    number = 0
    try:
        events = []
        for number, row in enumerate(_rows(text.strip()), 1):  # noqa: B007  # told below
            events.append(_event(row))
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise CommandError(
            f"{path} is no export of the audit trail: after row {number - 1 if number else 0} "
            f"comes what can't be read ({type(error).__name__})."
        ) from None
    return events


def _rows(text: str) -> Iterable[Mapping[str, Any]]:
    if text.startswith("["):
        rows: list[dict[str, Any]] = json.loads(text)
        return rows
    if text.startswith("{"):
        return map(json.loads, filter(None, text.splitlines()))
    return _rows_of_csv(text)


def _rows_of_csv(text: str) -> Iterator[dict[str, Any]]:
    for row in csv.DictReader(io.StringIO(text, newline="")):
        cells = {name: _as_written(cell) for name, cell in row.items()}
        yield {**cells, "details": json.loads(cells["details"])}


def _as_written(cell: str) -> str:
    """``cell`` without the quote that keeps a spreadsheet from running it."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@"} else cell


def _event(row: Mapping[str, Any]) -> ExportedEvent:
    at, details = datetime.fromisoformat(row["at"]), row["details"]
    if at.tzinfo is None or not isinstance(details, dict):
        raise ValueError
    return ExportedEvent(
        at=at,
        action=str(row["action"]),
        subject=str(row["subject"]),
        key_id=_number(row["key_id"]),
        login_id=_number(row["login_id"]),
        details=details,
    )


def _number(value: Any) -> int | None:
    return None if value in (None, "") else int(value)
