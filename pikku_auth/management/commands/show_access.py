"""``manage.py show_access``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from inspect import unwrap
from typing import Any

from django.core.management.base import CommandError, CommandParser

from pikku_auth.http.access import Access, Reader, access_to_plain
from pikku_auth.http.routes import Route, routes
from pikku_auth.management.base import PikkuCommand
from pikku_auth.rest_framework.access import access_to_view

Row = tuple[Route, Access]

_COLUMNS = ("METHOD", "ROUTE", "WHO GETS IN")


class Command(PikkuCommand):
    """Show who gets into which route."""

    help = "List every route and method of the URLconf with who gets in."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Which rows, and how."""
        parser.add_argument(
            "--open",
            action="store_true",
            help="Only where a key without scopes gets in, or may; exit with 1 if there is one.",
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        """List them.

        :raises CommandError: with ``--open``, if a key without scopes gets in anywhere, or may.
        """
        rows = [row for row in _rows() if row[1].is_open or not options["open"]]
        if options["format"] == "json":
            self.stdout.write(json.dumps([_as_json(*row) for row in rows], indent=2))
        elif rows:
            self._write_table([_COLUMNS, *(_as_text(*row) for row in rows)])
        if options["open"] and rows:
            raise CommandError(
                f"A key without scopes gets in, or may, by {len(rows)} of the routes and methods."
            )

    def _write_table(self, table: list[tuple[str, str, str]]) -> None:
        widths = [max(len(row[column]) for row in table) for column in (0, 1)]
        width = sum(widths) + max(len(row[2]) for row in table) + 4
        is_narrow = self.stdout.isatty() and width > shutil.get_terminal_size().columns
        for method, route, who in table:
            if is_narrow:
                self.stdout.write(f"{method} {route}\n    {who}")
            else:
                cells = f"{method.ljust(widths[0])}  {route.ljust(widths[1])}  {who}"
                self.stdout.write(cells)


def _rows() -> Iterator[Row]:
    readers = _readers()
    for route in routes():
        found = next(filter(None, (read(route) for read in readers)), None)
        for access in access_to_plain(route) if found is None else found:
            yield route, access


def _readers() -> list[Reader]:
    readers: list[Reader] = [access_to_view]
    if find_spec("ninja") is not None:  # pragma: no branch  # an extra
        from pikku_auth.contrib.ninja.access import access_to_operations

        readers.append(access_to_operations)
    return readers


def _as_text(route: Route, access: Access) -> tuple[str, str, str]:
    return access.method, route.path, str(access)


def _as_json(route: Route, access: Access) -> dict[str, Any]:
    return {
        "route": route.path,
        "name": route.name,
        "method": access.method,
        "view": _name_of(route.view),
        "access": access.kind,
        "who": str(access),
        "scopes": access.scopes,
        "open": access.is_open,
    }


def _name_of(view: Any) -> str:
    view = getattr(view, "cls", None) or getattr(view, "view_class", None) or unwrap(view)
    named = view if hasattr(view, "__qualname__") else type(view)
    return f"{named.__module__}.{named.__name__}"
