"""``manage.py prune_auth``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import prune
from pikku_auth.management.base import PikkuCommand, positive


class Command(PikkuCommand):
    """Delete what is long over."""

    help = (
        "Delete keys and logins that ended long ago, old audit events, and device codes and "
        "WebSocket tickets of yesterday. Run it daily, say from cron."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """How long the record is kept."""
        parser.add_argument(
            "--keys-older-than",
            type=argument(parse_duration),
            default="180d",
            metavar="180d",
            help="Keys and logins that ended longer ago than this. Default: 180d.",
        )
        parser.add_argument(
            "--events-older-than",
            type=argument(parse_duration),
            default="400d",
            metavar="400d",
            help="Audit events older than this. Default: 400d.",
        )
        parser.add_argument(
            "--addresses-older-than",
            type=argument(parse_duration),
            metavar="90d",
            help="Erase the addresses and user agents of audit events that are older than this, "
            "and of logins that ended before. Default: keep them as long as the row.",
        )
        parser.add_argument(
            "--limit", type=argument(positive), metavar="N", help="Delete N rows at most."
        )
        parser.add_argument(
            "--for",
            type=argument(parse_duration),
            metavar="5m",
            dest="duration",
            help="Begin nothing new after this time. The next run goes on.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them, in batches."""
        pruned = prune(
            keys_older_than=options["keys_older_than"],
            events_older_than=options["events_older_than"],
            addresses_older_than=options["addresses_older_than"],
            limit=options["limit"],
            duration=options["duration"],
            progress=self._show if self.stderr.isatty() and options["verbosity"] else None,
            context=self.context,
        )
        self.note(
            f"Deleted {pruned.keys} keys, {pruned.logins} logins, {pruned.codes} device codes, "
            f"{pruned.tickets} tickets and {pruned.events} audit events.",
            options,
        )
        if pruned.addresses:
            self.note(f"Erased where from in {pruned.addresses} events and logins.", options)
        if not pruned.is_done:
            self.note("More is left: run it again.", options)

    def _show(self, what: str, deleted: int) -> None:
        verb = "Erased" if what == "addresses" else "Deleted"
        self.stderr.write(f"\r{verb} {deleted} {what}\x1b[K\r", str, ending="")
        self.stderr.flush()
