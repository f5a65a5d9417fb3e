"""``manage.py notify_expiring --within 14d``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import Warned, notify_expiring
from pikku_auth.flows.notices import Outcome
from pikku_auth.management.base import PikkuCommand, counted


class Command(PikkuCommand):
    """Warn of keys that end soon, or that nobody uses."""

    help = (
        "Mail the contacts of service users about keys that end soon, or that nobody uses: once "
        "for each key and time. Run it daily, say from cron; it exits with 1 if somebody could "
        "not be told."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Of which keys, and to whom."""
        parser.add_argument(
            "--within",
            action="append",
            type=argument(parse_duration),
            metavar="14d",
            help="Of live keys that expire within this time; repeatable.",
        )
        parser.add_argument(
            "--unused",
            action="append",
            type=argument(parse_duration),
            metavar="90d",
            help="Of live keys that nobody has used for this long; repeatable.",
        )
        parser.add_argument(
            "--default-to",
            action="append",
            metavar="ADDRESS",
            help="Who hears of the keys of a service user without contacts; repeatable.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say who would be told, and tell nobody."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Warn of them.

        :raises CommandError: when somebody was not told, after everybody else was.
        """
        if not (options["within"] or options["unused"]):
            raise CommandError("Of which keys? Name --within 14d, --unused 90d, or both.")
        untold = 0
        for warned in notify_expiring(
            within=options["within"] or (),
            unused=options["unused"] or (),
            default_to=options["default_to"] or (),
            dry_run=options["dry_run"],
            context=self.context,
        ):
            self.note(_told(warned), options)
            untold += warned.outcome in {Outcome.FAILED, Outcome.NOBODY}
        if untold:
            raise CommandError("Not everybody was told. The next run tries again.")


def _told(warned: Warned) -> str:
    name, who = warned.service_user, ", ".join(warned.contacts) or "receivers of the signal"
    what = f"{counted(len(warned.keys))} of {name} {_MATTERS[warned.matter]}"
    match warned.outcome:
        case Outcome.DUE:
            return f"{what}: would tell {who}."
        case Outcome.NOBODY:
            return (
                f"{what}, and nobody is there to be told: "
                f"manage.py set_service_user_contacts {name} --contact ADDRESS"
            )
        case Outcome.FAILED:
            return f"{what}, and the mail to {who} could not be sent ({warned.problem})."
    return f"{what}: told {who}."


_MATTERS = {"expiring": "about to end", "unused": "not in use"}
