"""``manage.py change_person NAME --allow view_sandbox --forbid add_sandbox``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.sandboxes.people import PERMISSION_FOR, scopes_of

RIGHTS = [permission.partition(".")[2] for permission in PERMISSION_FOR.values()]


class Command(BaseCommand):
    """Allow or forbid a person something, as in Django's admin."""

    help = "Allow or forbid a person something. Their logins go by that from the next request on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and which rights."""
        parser.add_argument("person", metavar="NAME")
        parser.add_argument("--allow", action="append", default=[], choices=RIGHTS)
        parser.add_argument("--forbid", action="append", default=[], choices=RIGHTS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the rights, and list the scopes that the person's logins have now."""
        people = get_user_model().objects.filter(username=options["person"])
        person = people.first()
        if person is None:
            raise CommandError(f"There is no user {options['person']}.")
        rights = Permission.objects.filter(content_type__app_label__in=["sandboxes", "pikku_auth"])
        person.user_permissions.add(*rights.filter(codename__in=options["allow"]))
        person.user_permissions.remove(*rights.filter(codename__in=options["forbid"]))
        scopes = ", ".join(scopes_of(people.get())) or "no scope"
        self.stdout.write(f"{person.get_username()} has {scopes}.")
