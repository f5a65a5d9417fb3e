"""``manage.py revoke_key ID``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import find_key, revoke_key
from pikku_auth.management.base import RevokingCommand, in_words


class Command(RevokingCommand):
    """Revoke an API key."""

    help = "End a key for good, from the next request on. Revoking it twice is no error."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and why."""
        parser.add_argument("key", metavar="ID", help="Its id, its start, or its digest.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask if somebody is there to answer, then revoke."""
        key = find_key(options["key"])
        whose = f"{key} of {key.service_user}"
        if key.revoked_at is None:
            used = f"last used {in_words(key.last_used_at)}" if key.last_used_at else "never used"
            self.confirm(f"Revoke {whose}, {used}?", options)
        if revoke_key(key, reason=options["reason"], origin=self.origin):
            self.note(f"Revoked {whose}.", options)
        else:
            self.note(f"{whose} was revoked already.", options)
