"""``manage.py activate_service_user NAME``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import activate_service_user, get_service_user
from pikku_auth.management.base import PikkuCommand


class Command(PikkuCommand):
    """Let the keys of a service user work again."""

    help = "Let the keys of a service user work again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Activate it. It may be active already."""
        service_user = get_service_user(options["name"])
        if activate_service_user(service_user, context=self.context):
            self.note(f"Activated {service_user}: its live keys work again.", options)
        else:
            self.note(f"{service_user} was active already.", options)
