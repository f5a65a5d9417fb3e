"""``manage.py revoke_key ID``."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from pikku_auth.flows import find_key, revoke_key
from pikku_auth.management.base import PikkuCommand, in_words
from pikku_auth.models import APIKey


class Command(PikkuCommand):
    """Revoke an API key."""

    help = "End a key for good, from the next request on. Revoking it twice is no error."
    stealth_options = ("stdin",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and why."""
        parser.add_argument("key", metavar="ID", help="Its id, its start, or its digest.")
        parser.add_argument("--reason", default="", help="For the record, up to 200 characters.")
        parser.add_argument(
            "--no-input", "--noinput", action="store_false", dest="interactive", help="Don't ask."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask if somebody is there to answer, then revoke."""
        key = find_key(options["key"])
        if key.revoked_at is None and options["interactive"]:
            self._confirm(key, options.get("stdin") or sys.stdin)
        if revoke_key(key, reason=options["reason"], origin=self.origin):
            self.note(f"Revoked {key} of {key.service_user}.", options)
        else:
            self.note(f"{key} of {key.service_user} was revoked already.", options)

    def _confirm(self, key: APIKey, stdin: Any) -> None:
        if stdin is None or not stdin.isatty():  # a closed stdin is None
            raise CommandError("There is nobody to ask: add --no-input to revoke without asking.")
        used = f"last used {in_words(key.last_used_at)}" if key.last_used_at else "never used"
        self.stderr.write(f"Revoke {key} of {key.service_user}, {used}? [y/N] ", str, ending="")
        self.stderr.flush()
        try:
            answer = stdin.readline()
        except KeyboardInterrupt:
            raise CommandError("\nNothing was revoked.", returncode=130) from None
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was revoked.")
