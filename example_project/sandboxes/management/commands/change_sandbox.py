"""``manage.py change_sandbox ID --organisation NAME --status stopped``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.sandboxes.models import Organisation, Sandbox, Status


class Command(BaseCommand):
    """Move, stop or start a sandbox."""

    help = "Move, stop or start a sandbox. Its keys go by that from the next request on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which one, and what becomes of it."""
        parser.add_argument("sandbox", type=int, metavar="ID")
        parser.add_argument("--organisation", metavar="NAME", help="Made if there is none.")
        parser.add_argument("--status", choices=Status.values)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what was given, and say what the sandbox is now."""
        sandbox = Sandbox.objects.filter(pk=options["sandbox"]).first()
        if sandbox is None:
            raise CommandError(f"There is no sandbox {options['sandbox']}.")
        if name := options["organisation"]:
            sandbox.organisation, _ = Organisation.objects.get_or_create(name=name)
        sandbox.status = options["status"] or sandbox.status
        sandbox.save()
        home = sandbox.organisation
        self.stdout.write(
            f"Sandbox {sandbox.pk} is {sandbox.status}, in organisation {home.pk} ({home.name})."
        )
