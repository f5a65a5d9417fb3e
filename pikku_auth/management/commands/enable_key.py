"""``manage.py enable_key ID…``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.flows import enable_key, find_key
from pikku_auth.management.base import PikkuCommand, and_children


class Command(PikkuCommand):
    """Let disabled keys work again."""

    help = (
        "Let disabled keys work again, and with them the keys that they have minted. "
        "Doing it twice is no error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys."""
        parser.add_argument(
            "keys", metavar="ID", nargs="+", help="The id of a key, its preview, or its digest."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Find every key first, so that a wrong id changes nothing."""
        for key in [find_key(reference) for reference in options["keys"]]:
            whose = f"{key} of {key.service_user}"
            if enable_key(key, context=self.context):
                more = and_children([key], enabled=True, is_suspended=False)
                self.note(f"Enabled {whose}{more}.", options)
            else:
                self.note(f"{whose} is not disabled, or is revoked.", options)
