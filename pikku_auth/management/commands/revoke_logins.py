"""``manage.py revoke_logins USERNAME``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import revoke_logins
from pikku_auth.flows.logins import open_logins
from pikku_auth.management.base import RevokingCommand, in_words, user_named
from pikku_auth.models import LoginSession
from pikku_auth.models.users import username_of


class Command(RevokingCommand):
    """Revoke every login of a human."""

    help = "End every device login of a user, from the next request on. None to end is no error."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose logins, and why."""
        parser.add_argument("username", metavar="USERNAME", help="Whose logins.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask if somebody is there to answer, then revoke."""
        user = user_named(options["username"])
        logins = list(open_logins([user]))
        if logins:
            described = "".join(f"{_described(login)}\n" for login in logins)
            self.confirm(f"{described}End {_counted(len(logins))}?", options)
        ended = revoke_logins(user, reason=options["reason"], context=self.context)
        self.note(f"Ended {_counted(ended)} of {username_of(user)}.", options)


def _described(login: LoginSession) -> str:
    used = f"last used {in_words(login.last_used_at)}" if login.last_used_at else "not used"
    return f"{login}, from {login.ip or 'somewhere'}, {used}"


def _counted(number: int) -> str:
    return "1 login" if number == 1 else f"{number} logins"
