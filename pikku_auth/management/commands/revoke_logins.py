"""``manage.py revoke_logins USERNAME``."""

from __future__ import annotations

import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from pikku_auth.flows import live_logins, revoke_logins
from pikku_auth.flows.database import primary
from pikku_auth.management.base import PikkuCommand, in_words
from pikku_auth.models import LoginSession


class Command(PikkuCommand):
    """Revoke every login of a human."""

    help = "End every device login of a user, from the next request on. None to end is no error."
    stealth_options = ("stdin",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose logins, and why."""
        parser.add_argument("username", metavar="USERNAME", help="Whose logins.")
        parser.add_argument("--reason", default="", help="For the record, up to 200 characters.")
        parser.add_argument(
            "--no-input", "--noinput", action="store_false", dest="interactive", help="Don't ask."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask if somebody is there to answer, then revoke."""
        user = _user_named(options["username"])
        logins = live_logins(user)
        if logins and options["interactive"]:
            self._confirm(logins, options.get("stdin") or sys.stdin)
        ended = revoke_logins(user, reason=options["reason"], origin=self.origin)
        self.note(f"Ended {_counted(ended)} of {user.get_username()}.", options)

    def _confirm(self, logins: list[LoginSession], stdin: Any) -> None:
        if stdin is None or not stdin.isatty():  # a closed stdin is None
            raise CommandError("There is nobody to ask: add --no-input to revoke without asking.")
        for login in logins:
            used = f"last used {in_words(login.last_used_at)}" if login.last_used_at else "not used"
            self.stderr.write(f"{login}, from {login.ip or 'somewhere'}, {used}", str)
        self.stderr.write(f"End {_counted(len(logins))}? [y/N] ", str, ending="")
        self.stderr.flush()
        try:
            answer = stdin.readline()
        except KeyboardInterrupt:
            raise CommandError("\nNothing was revoked.", returncode=130) from None
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was revoked.")


def _user_named(username: str) -> Any:
    model = get_user_model()
    try:
        return model._default_manager.using(primary()).get(**{model.USERNAME_FIELD: username})
    except model.DoesNotExist:
        raise CommandError(f"There is no user {username!r}.") from None


def _counted(number: int) -> str:
    return "1 login" if number == 1 else f"{number} logins"
