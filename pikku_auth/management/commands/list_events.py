"""``manage.py list_events``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from pikku_auth.admin.history import told
from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import find_key, get_service_user
from pikku_auth.flows.database import primary
from pikku_auth.management.listing import ListingCommand, in_pages, iso
from pikku_auth.models import AuditEvent

MOST = 50
"""How many events are listed where nobody says."""


class Command(ListingCommand):
    """List the audit trail."""

    help = f"List what was done, the newest first: {MOST} events, or as many as --limit says."
    columns = ["AT (UTC)", "WHO", "FROM", "ADDRESS", "SUBJECT", "WHAT"]
    model = AuditEvent
    first = "each change of a service user, a key or a login is written down."

    def add_arguments(self, parser: CommandParser) -> None:
        """Of what, and since when."""
        parser.add_argument(
            "--about", metavar="ID", help="Of one key: its id, its preview, or its digest."
        )
        parser.add_argument("--service", metavar="NAME", help="Of one service user and its keys.")
        parser.add_argument("--action", choices=AuditEvent.Action.values, help="Of one kind.")
        parser.add_argument(
            "--since",
            type=argument(parse_duration),
            metavar="7d",
            help="Those of this long ago, and younger.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List them."""
        events = AuditEvent.objects.using(primary()).all()
        if options["about"]:
            events = events.filter(key=find_key(options["about"]))
        if options["service"]:
            events = events.filter(service_user=get_service_user(options["service"]))
        if options["action"]:
            events = events.filter(action=options["action"])
        if options["since"]:
            events = events.filter(at__gte=timezone.now() - options["since"])
        found = in_pages(events, "at", "pk", limit=options["limit"] or MOST, descending=True)
        if options["format"] == "text":
            self.write_table(map(_row, found), options)
        else:
            self.write_json(map(_as_json, found), options)


def _row(event: AuditEvent) -> list[str]:
    return [
        f"{event.at:%Y-%m-%d %H:%M:%S}",
        event.actor_name or "-",
        event.source,
        event.ip or "-",
        event.subject,
        told(event),
    ]


def _as_json(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": event.pk,
        "at": iso(event.at),
        "action": event.action,
        "subject": event.subject,
        "service_user_id": event.service_user_id,
        "key_id": event.key_id,
        "login_id": event.login_id,
        "actor": event.actor_name,
        "source": event.source,
        "ip": event.ip,
        "user_agent": event.user_agent,
        "details": event.details,
    }
