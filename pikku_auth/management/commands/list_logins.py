"""``manage.py list_logins``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from pikku_auth.flows.database import primary
from pikku_auth.management.base import user_named
from pikku_auth.management.listing import ListingCommand, Style, ago, ahead, in_pages, iso
from pikku_auth.models import LoginSession

_STATE = 3


class Command(ListingCommand):
    """List the logins of humans."""

    help = "List device logins, the newest first: those that are live, or with --all every one."
    columns = ["ID", "USER", "CLIENT", "STATE", "BEGUN", "LAST USED", "FROM", "EXPIRES", "SCOPES"]
    model = LoginSession
    first = "a human logs in with pikku-auth login --url https://your.site."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, and which."""
        parser.add_argument("--user", metavar="USERNAME", help="Those of one user.")
        parser.add_argument("--all", action="store_true", help="Those that are over, too.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        now = timezone.now()
        logins = LoginSession.objects.using(primary()).select_related("user")
        if options["user"]:
            logins = logins.filter(user=user_named(options["user"]))
        if not options["all"]:
            logins = logins.filter(revoked_at=None, expires_at__gt=now)
        listed = in_pages(logins, "pk", descending=True)
        wanted = (one for one in listed if options["all"] or one.invalid_reason(now) is None)
        found = islice(wanted, options["limit"])
        if options["format"] == "text":
            self.write_table((_row(one, now) for one in found), options, self._styled)
        else:
            self.write_json((_as_json(one, now) for one in found), options)

    def _styled(self, row: Sequence[str]) -> tuple[int, Style]:
        return _STATE, self.style.SUCCESS if row[_STATE] == "live" else self.style.WARNING


def _state(one: LoginSession, now: datetime) -> str:
    return (one.invalid_reason(now) or "live").replace("_", " ")


def _scopes(one: LoginSession) -> str:
    return "all" if one.permissions is None else " ".join(one.requested_scopes) or "none"


def _row(one: LoginSession, now: datetime) -> list[str]:
    return [
        str(one.pk),
        one.user.get_username(),
        one.client_id,
        _state(one, now),
        ago(one.created_at, now),
        ago(one.last_used_at, now),
        one.last_used_ip or one.ip or "",
        ahead(one.expires_at, now),
        _scopes(one),
    ]


def _as_json(one: LoginSession, now: datetime) -> dict[str, Any]:
    return {
        "id": one.pk,
        "start": one.preview,
        "user": one.user.get_username(),
        "client_id": one.client_id,
        "state": one.invalid_reason(now) or "live",
        "requested_scopes": None if one.permissions is None else one.requested_scopes,
        "ip": one.ip,
        "user_agent": one.user_agent,
        "created_at": iso(one.created_at),
        "last_used_at": iso(one.last_used_at),
        "last_used_ip": one.last_used_ip,
        "expires_at": iso(one.expires_at),
        "revoked_at": iso(one.revoked_at),
        "revoke_reason": one.revoke_reason,
    }
