"""``KEY=$(manage.py rotate_key ID)``."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import find_key, rotate_key
from pikku_auth.flows.keys.family import children_of
from pikku_auth.flows.keys.rotate import DEFAULT_OVERLAP
from pikku_auth.management.base import MOST_SHOWN, IssuingCommand, counted, minted_by
from pikku_auth.models import APIKey


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
        parser.add_argument(
            "--keep-children",
            action="store_true",
            help="With --now: keep the keys that it has minted, which are revoked with it else.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate it."""
        if options["keep_children"] and not options["now"]:
            raise CommandError("Only with --now are the keys that it has minted not kept.")
        key = find_key(options["key"])
        overlap = None if options["now"] else options["overlap"]
        keep = options["keep_children"]
        children = minted_by([key])
        if overlap is None and not keep:
            self._tell_who_ends(key, children, options)
        rotate = partial(rotate_key, key, overlap=overlap, keep_children=keep)
        self.issue(partial(rotate, context=self.context), options)
        self.tell_of_the_old_key(key, overlap, options)
        if children and (overlap is not None or keep):
            self.note(f"The new key has {counted(children)} that the old one minted.", options)

    def _tell_who_ends(self, key: APIKey, children: int, options: dict[str, Any]) -> None:
        """Name the keys that are about to be revoked with ``key``."""
        if not children:
            return
        self.note(f"{counted(children)} that it has minted will be revoked with it:", options)
        for child in children_of(key)[:MOST_SHOWN]:
            self.note(f"{child} of {child.service_user}", options)
        if children > MOST_SHOWN:
            self.note(f"and {children - MOST_SHOWN} more", options)
