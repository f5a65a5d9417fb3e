"""``manage.py reapply_revocations --from FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import reapply_revocations
from pikku_auth.flows.reapply import Outcome, Reapplied
from pikku_auth.management.base import PikkuCommand
from pikku_auth.management.exports import read_export
from pikku_auth.models import AuditEvent

_VERBS = {
    AuditEvent.Action.KEY_REVOKED: "revoked",
    AuditEvent.Action.KEY_ROTATED: "revoked, because it was rotated",
    AuditEvent.Action.LOGIN_REVOKED: "ended",
    AuditEvent.Action.KEY_DISABLED: "disabled",
    AuditEvent.Action.SERVICE_USER_DEACTIVATED: "deactivated",
}
_BY_HAND = {
    AuditEvent.Action.KEY_BOUNDS_SET: "set its networks and limits again, by set_key_bounds",
    AuditEvent.Action.SERVICE_USER_SCOPES_SET: "set its ceiling, by set_service_user_scopes",
}
_AMBIGUOUS = "several keys look like this one: find it, and revoke or disable it by hand"


class Command(PikkuCommand):
    """Do again what a restored backup has undone."""

    help = (
        "After a backup was restored: revoke keys, end logins, disable keys and deactivate "
        "service users as an export of the audit trail says. Running it twice does no harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which export, and whether to try it only."""
        parser.add_argument(
            "--from",
            required=True,
            type=Path,
            metavar="FILE",
            dest="file",
            help="An export of the admin (CSV), or what list_events --format json wrote.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be done, and do nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, a line for each event of which the database knew nothing."""
        events = read_export(options["file"])
        done = 0
        for reapplied in reapply_revocations(
            events, dry_run=options["dry_run"], context=self.context
        ):
            self.stdout.write(_told(reapplied, options["dry_run"]))
            done += reapplied.outcome is Outcome.DONE
        verb = "Would do" if options["dry_run"] else "Did"
        self.note(f"Read {len(events)} events. {verb} {done} of them again.", options)


def _told(reapplied: Reapplied, dry_run: bool) -> str:
    event, action = reapplied.event, AuditEvent.Action(reapplied.event.action)
    match reapplied.outcome:
        case Outcome.DONE:
            return f"{event.subject}: {'would be ' if dry_run else ''}{_VERBS[action]}"
        case Outcome.LATER:
            return f"{event.subject}: was rotated and lives on; run this again when it is to end"
        case Outcome.GONE:
            return f"{event.subject}: made since the backup and gone; its callers need a new key"
    return f"{event.subject}: {_BY_HAND.get(action, _AMBIGUOUS)}"
