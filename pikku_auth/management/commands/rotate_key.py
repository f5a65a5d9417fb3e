"""``KEY=$(manage.py rotate_key ID)``."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandParser

from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import find_key, rotate_key
from pikku_auth.flows.keys.rotate import DEFAULT_OVERLAP
from pikku_auth.management.base import IssuingCommand, argument


class Command(IssuingCommand):
    """Rotate an API key."""

    help = (
        "Give a key a new secret, everything else as it was, and print it, alone, on stdout. "
        "The old key lives on for the overlap; after a leak, use --now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and how the old one ends."""
        parser.add_argument("key", metavar="ID", help="Its id, its preview, or its digest.")
        ending = parser.add_mutually_exclusive_group()
        ending.add_argument(
            "--overlap",
            type=argument(parse_duration),
            default=DEFAULT_OVERLAP,
            metavar="24h",
            help="How long the old key lives on. Default: 24h.",
        )
        ending.add_argument("--now", action="store_true", help="Revoke the old key at once.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate it."""
        key = find_key(options["key"])
        overlap = None if options["now"] else options["overlap"]
        self.issue(partial(rotate_key, key, overlap=overlap, context=self.context), options)
        self.tell_of_the_old_key(key, overlap, options)
