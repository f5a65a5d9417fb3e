"""``manage.py list_keys``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import get_service_user
from pikku_auth.flows.database import primary
from pikku_auth.management.base import PikkuCommand, argument, as_json
from pikku_auth.management.output import why_empty
from pikku_auth.models import APIKey, KeyState
from pikku_auth.models.keys import APIKeyQuerySet

_FIRST = (
    "make a service user with manage.py create_service_user NAME, then a key with manage.py "
    "mint_key --service NAME."
)
_COLUMNS = ["ID", "START", "NAME", "SERVICE USER", "STATE", "LAST USED", "EXPIRES", "SCOPES"]


class Command(PikkuCommand):
    """List API keys."""

    help = "List keys: a table, or with --format json an array of objects."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys, and how."""
        parser.add_argument("--service", metavar="NAME", help="Those of one service user.")
        parser.add_argument("--state", choices=KeyState.values, help="Those in one state.")
        parser.add_argument(
            "--expiring",
            type=argument(parse_duration),
            metavar="14d",
            help="Live ones that expire within this time.",
        )
        parser.add_argument(
            "--unused",
            type=argument(parse_duration),
            metavar="90d",
            help="Live ones that nobody has used for this long.",
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        now = timezone.now()
        keys = list(_chosen(options, now))
        if options["format"] == "json":
            rows = [as_json(key, key.state(now).value) for key in keys]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        elif keys:
            self._write_table([_row(key, now) for key in keys])
        else:
            self.note(why_empty(APIKey.objects.using(primary()), _FIRST), options)

    def _write_table(self, rows: list[list[str]]) -> None:
        table = [_COLUMNS, *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS) - 1)]
        for row in table:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            if row is not _COLUMNS:
                alive = row[4] == str(KeyState.ACTIVE.label)
                cells[4] = (self.style.SUCCESS if alive else self.style.WARNING)(cells[4])
            self.stdout.write("  ".join([*cells, row[-1]]).rstrip())


def _chosen(options: dict[str, Any], now: datetime) -> APIKeyQuerySet:
    keys = APIKey.objects.using(primary()).select_related("service_user__user").order_by("pk")
    if options["service"]:
        keys = keys.filter(service_user=get_service_user(options["service"]))
    if options["expiring"]:
        keys = keys.filter(expires_at__lte=now + options["expiring"])
    if options["unused"]:
        keys = keys.filter(
            Q(last_used_at__lte=now - options["unused"])
            | Q(last_used_at=None, created_at__lte=now - options["unused"])
        )
    live = KeyState.ACTIVE.value if options["expiring"] or options["unused"] else None
    wanted = options["state"] or live
    return keys.in_state(wanted, now) if wanted else keys


def _row(key: APIKey, now: datetime) -> list[str]:
    return [
        str(key.pk),
        key.start,
        key.name,
        key.service_user.name,
        str(key.state(now).label),
        _ago(key.last_used_at, now),
        _ahead(key.expires_at, now),
        _scopes(key),
    ]


def _scopes(key: APIKey) -> str:
    """What the key may do now, and what it was minted with if a ceiling cuts that."""
    now, minted = " ".join(key.allowed_scopes), " ".join(key.scopes)
    return now if now == minted else f"{now or 'none'} (ceiling cuts {minted})"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    if now - moment < timedelta(minutes=1):
        return "just now"
    return f"{_plain(timesince(moment, now, depth=1))} ago"


def _ahead(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    return _ago(moment, now) if moment <= now else f"in {_plain(timeuntil(moment, now, depth=1))}"


def _plain(text: str) -> str:
    return text.replace("\xa0", " ")
