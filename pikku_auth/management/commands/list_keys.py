"""``manage.py list_keys``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import find_key, get_service_user
from pikku_auth.flows.database import primary
from pikku_auth.management.base import as_json
from pikku_auth.management.listing import ListingCommand, Style, ago, ahead, in_pages
from pikku_auth.models import APIKey, KeyState
from pikku_auth.models.keys import APIKeyQuerySet, unused_since

_STATE = 4

FOUND = 1
"""Exit code of ``--exit-code`` when there is such a key."""


class Command(ListingCommand):
    """List API keys."""

    help = "List keys: a table, or with --format json an array of objects."
    columns = ["ID", "PREVIEW", "NAME", "SERVICE USER", "STATE", "LAST USED", "EXPIRES", "SCOPES"]
    model = APIKey
    first = (
        "make a service user with manage.py create_service_user NAME, then a key with manage.py "
        "mint_key --service NAME."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys, and how."""
        parser.add_argument("--service", metavar="NAME", help="Those of one service user.")
        parser.add_argument(
            "--parent", metavar="ID", help="Those that one key has minted: its id, or its preview."
        )
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
        parser.add_argument(
            "--exit-code", action="store_true", help="Exit with 1 if there is such a key."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them.

        :raises SystemExit: with ``--exit-code``, if there is one.
        """
        now = timezone.now()
        order = ["expires_at", "pk"] if options["expiring"] else ["pk"]
        listed = count(1)
        found = in_pages(_chosen(options, now), *order, limit=options["limit"])
        keys = (key for key, _ in zip(found, listed, strict=False))
        if options["format"] == "text":
            self.write_table((_row(key, now) for key in keys), options, self._styled)
        else:
            self.write_json((as_json(key, key.state(now).value) for key in keys), options)
        if options["exit_code"] and next(listed) > 1:
            self.stdout.flush()
            raise SystemExit(FOUND)

    def _styled(self, row: Sequence[str]) -> tuple[int, Style]:
        is_alive = row[_STATE] == str(KeyState.ACTIVE.label)
        return _STATE, self.style.SUCCESS if is_alive else self.style.WARNING


def _chosen(options: dict[str, Any], now: datetime) -> APIKeyQuerySet:
    keys = APIKey.objects.using(primary()).select_related("service_user__user", "created_by")
    if options["service"]:
        keys = keys.filter(service_user=get_service_user(options["service"]))
    if options["parent"]:
        keys = keys.filter(parent=find_key(options["parent"]))
    if options["expiring"]:
        keys = keys.filter(expires_at__lte=now + options["expiring"])
    if options["unused"]:
        keys = keys.filter(unused_since(now - options["unused"]))
    live = KeyState.ACTIVE.value if options["expiring"] or options["unused"] else None
    wanted = options["state"] or live
    return keys.in_state(wanted, now) if wanted else keys


def _row(key: APIKey, now: datetime) -> list[str]:
    return [
        str(key.pk),
        key.preview,
        key.name,
        key.service_user.name,
        str(key.state(now).label),
        ago(key.last_used_at, now),
        ahead(key.expires_at, now),
        _scopes(key),
    ]


def _scopes(key: APIKey) -> str:
    """What the key may do now, and what it was minted with if a ceiling cuts that."""
    now, minted = " ".join(key.allowed_scopes), " ".join(key.scopes)
    return now if now == minted else f"{now or 'none'} (ceiling cuts {minted})"
