"""``manage.py set_service_user_scopes NAME --scope resource:action``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import get_service_user, set_service_user_scopes
from pikku_auth.management.base import PikkuCommand


class Command(PikkuCommand):
    """Set the ceiling of a service user."""

    help = "Set the most that the keys of a service user may do, from the next request on."

    def add_arguments(self, parser: CommandParser) -> None:
        """The scopes, or one of the two ways to name none."""
        parser.add_argument("name", help="The service user's name.")
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument(
            "--scope", action="append", metavar="RESOURCE:ACTION", help="Repeatable."
        )
        given.add_argument("--nothing", action="store_true", help="Its keys may do nothing.")
        given.add_argument("--no-ceiling", action="store_true", help="Take the ceiling away.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set it."""
        service_user = get_service_user(options["name"])
        scopes = None if options["no_ceiling"] else options["scope"] or []
        set_service_user_scopes(service_user, scopes, context=self.context)
        self.note(f"The keys of {service_user} {_told(service_user.scopes)}.", options)


def _told(scopes: list[str] | None) -> str:
    if scopes is None:
        return "have no ceiling"
    return f"may do at most: {', '.join(scopes)}" if scopes else "may do nothing"
