"""``manage.py deactivate_service_user NAME``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import deactivate_service_user, get_service_user
from pikku_auth.management.base import PikkuCommand


class Command(PikkuCommand):
    """Stop every key of a service user at once."""

    help = "Stop every key of a service user at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Deactivate it. It may be inactive already."""
        service_user = get_service_user(options["name"])
        if deactivate_service_user(service_user, context=self.context):
            self.note(f"Deactivated {service_user}: none of its keys works any more.", options)
        else:
            self.note(f"{service_user} was inactive already.", options)
