"""``manage.py set_service_user_contacts NAME --contact ADDRESS``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import get_service_user, set_service_user_contacts
from pikku_auth.management.base import PikkuCommand


class Command(PikkuCommand):
    """Set the contacts of a service user."""

    help = "Say who hears by mail of the keys of a service user, before they end."

    def add_arguments(self, parser: CommandParser) -> None:
        """The addresses, or that there are none."""
        parser.add_argument("name", help="The service user's name.")
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument(
            "--contact",
            action="append",
            metavar="ADDRESS",
            help="Repeatable. They take the place of all that were.",
        )
        given.add_argument("--nobody", action="store_true", help="Nobody hears of them.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set them."""
        service_user = get_service_user(options["name"])
        set_service_user_contacts(service_user, options["contact"] or [], context=self.context)
        who = ", ".join(service_user.contacts) or "nobody"
        self.note(f"Of the keys of {service_user} hears: {who}.", options)
