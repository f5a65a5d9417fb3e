"""``manage.py revoke_key ID…``, or every key that a leak may have shown."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.flows import find_key, get_service_user, revoke_key
from pikku_auth.flows.database import primary
from pikku_auth.management.base import (
    MOST_SHOWN,
    RevokingCommand,
    and_children,
    counted,
    in_words,
    user_named,
)
from pikku_auth.models import APIKey


class Command(RevokingCommand):
    """Revoke API keys."""

    help = (
        "End keys for good, from the next request on: those that are named, or all that the "
        "options describe together. Revoking one twice is no error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys, and why."""
        parser.add_argument(
            "keys", metavar="ID", nargs="*", help="The id of a key, its preview, or its digest."
        )
        parser.add_argument("--service", metavar="NAME", help="The keys of one service user.")
        parser.add_argument(
            "--minted-since",
            type=argument(parse_duration),
            metavar="2d",
            help="Those that were minted this long ago, or later.",
        )
        parser.add_argument("--minted-by", metavar="USERNAME", help="Those that one user minted.")
        parser.add_argument("--all", action="store_true", help="Every key that there is.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Say which keys would be revoked, and stop."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask if somebody is there to answer, then revoke."""
        keys = _chosen(options)
        live = [key for key in keys if key.revoked_at is None]
        if options["dry_run"]:
            for key in live:
                self.stdout.write(_described(key))
            self.note(f"{counted(len(live))}{and_children(live)} would be revoked.", options)
            return
        if live:
            self.confirm(_question(live), options)
        for key in keys:
            whose, children = f"{key} of {key.service_user}", and_children([key])
            if revoke_key(key, reason=options["reason"], context=self.context):
                self.note(f"Revoked {whose}{children}.", options)
            else:
                self.note(f"{whose} was revoked already.", options)
        if not keys:
            self.note("No such keys are left to revoke.", options)


def _chosen(options: dict[str, Any]) -> list[APIKey]:
    """The named keys, or the live ones that all of the options describe.

    :raises CommandError: when nothing says which, or both do.
    """
    described = [options[name] for name in ("service", "minted_since", "minted_by")]
    if bool(options["keys"]) + any(described) + options["all"] != 1:
        raise CommandError(
            "Which keys? Name their ids, or describe them by --service, --minted-since and "
            "--minted-by, or write --all.",
            returncode=2,
        )
    if options["keys"]:
        return [find_key(reference) for reference in dict.fromkeys(options["keys"])]
    keys = APIKey.objects.using(primary()).select_related("service_user__user").order_by("pk")
    keys = keys.filter(revoked_at=None)
    if options["service"]:
        keys = keys.filter(service_user=get_service_user(options["service"]))
    if options["minted_since"]:
        keys = keys.filter(created_at__gte=timezone.now() - options["minted_since"])
    if options["minted_by"]:
        keys = keys.filter(created_by=user_named(options["minted_by"]))
    return list(keys)


def _question(live: list[APIKey]) -> str:
    if len(live) == 1:
        return f"Revoke {_described(live[0])}{and_children(live)}?"
    shown = "".join(f"{_described(key)}\n" for key in live[:MOST_SHOWN])
    more = f"and {len(live) - MOST_SHOWN} more\n" if len(live) > MOST_SHOWN else ""
    return f"{shown}{more}Revoke {counted(len(live))}{and_children(live)}?"


def _described(key: APIKey) -> str:
    used = f"last used {in_words(key.last_used_at)}" if key.last_used_at else "never used"
    return f"{key} of {key.service_user}, {used}"
