"""``manage.py create_service_user NAME``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from pikku_auth.flows import create_service_user
from pikku_auth.management.base import PikkuCommand


class Command(PikkuCommand):
    """Make a service user."""

    help = "Make a service user: a stable machine identity that owns API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        """A name, and what else can be said of it."""
        parser.add_argument("name", help="Lower-case letters, digits, '-' and '_'.")
        parser.add_argument("--description", default="", help="What the machine does.")
        parser.add_argument(
            "--max-scope",
            action="append",
            metavar="RESOURCE:ACTION",
            help="The most that its keys may do; repeatable. Without it, no ceiling is set.",
        )
        parser.add_argument(
            "--contact",
            action="append",
            metavar="ADDRESS",
            help="Who hears of its keys before they end, an e-mail address; repeatable.",
        )
        parser.add_argument(
            "--user",
            metavar="USERNAME",
            help="Adopt this user instead of making one. It loses its password and sessions.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it."""
        user = _existing_user(options["user"]) if options["user"] else None
        service_user = create_service_user(
            options["name"],
            description=options["description"],
            scopes=options["max_scope"],
            contacts=options["contact"] or [],
            user=user,
            context=self.context,
        )
        self.note(
            f"Made the service user {service_user}. Next: "
            f"manage.py mint_key --service {service_user} --scope resource:action",
            options,
        )


def _existing_user(username: str) -> Any:
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(username)
    except (model.DoesNotExist, ValueError, ValidationError):  # a name may be a number, or a UUID
        raise CommandError(
            f"There is no user {username!r} to adopt: leave --user out to have one made."
        ) from None
