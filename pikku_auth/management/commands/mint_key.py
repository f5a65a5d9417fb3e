"""``KEY=$(manage.py mint_key --service NAME --scope resource:action)``."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from pikku_auth.core.arguments import argument
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.durations import parse_duration
from pikku_auth.core.limits import parse_rate
from pikku_auth.core.metadata import parse_metadata
from pikku_auth.exceptions import InvalidInput, UnknownServiceUser
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    get_service_user,
    mint_key,
    mint_or_rotate,
)
from pikku_auth.flows.keys.rotate import DEFAULT_OVERLAP
from pikku_auth.flows.keys.validation import named
from pikku_auth.management.base import IssuingCommand, count, positive


class Command(IssuingCommand):
    """Mint an API key."""

    help = (
        "Mint an API key and print it, alone, on stdout. It is shown this once. "
        "Running this again mints another key; --rotate replaces the one of that name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What the key may do, for how long, and how often."""
        parser.add_argument("--service", required=True, metavar="NAME", help="Its service user.")
        parser.add_argument("--name", default="", help="A name for people, up to 200 characters.")
        parser.add_argument(
            "--expires-in",
            type=argument(_lifetime),
            metavar="90d",
            help="A duration such as 90d, 12h or 1h30m, or never. Default: the host's.",
        )
        parser.add_argument(
            "--scope",
            action="append",
            metavar="RESOURCE:ACTION",
            help="What it may do; repeatable. resource:* and * are wildcards.",
        )
        parser.add_argument(
            "--metadata", type=argument(parse_metadata), metavar="JSON", help="A JSON object."
        )
        parser.add_argument(
            "--rate", type=argument(parse_rate), metavar="100/m", help="Calls in each window."
        )
        parser.add_argument(
            "--quota", type=argument(count), metavar="N", help="Calls in all, such as 1000."
        )
        parser.add_argument(
            "--refill",
            type=argument(parse_rate),
            metavar="1000/1d",
            help="What the quota is set back to, and how often.",
        )
        parser.add_argument(
            "--network", action="append", metavar="CIDR", help="Where it may be used; repeatable."
        )
        parser.add_argument(
            "--for-service",
            action="append",
            metavar="NAME",
            help="With a scope such as auth:mint: another service user whose keys it may manage; "
            "repeatable. '*' for all, if it changes none.",
        )
        parser.add_argument(
            "--child-metadata",
            action="append",
            metavar="NAME",
            help="A member that the keys it mints may add to its metadata; repeatable.",
        )
        parser.add_argument(
            "--max-children",
            type=argument(positive),
            metavar="N",
            help="How many keys that it has minted may be alive at a time. Default: 1000.",
        )
        parser.add_argument(
            "--create", action="store_true", help="Make the service user if there is none."
        )
        parser.add_argument(
            "--rotate",
            action="store_true",
            help="If there is a live key of that name, make its successor instead.",
        )
        parser.add_argument(
            "--overlap",
            type=argument(parse_duration),
            metavar="24h",
            help="With --rotate: how long the old key lives on. Default: 24h.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Mint it, or rotate the one there is."""
        if options["overlap"] and not options["rotate"]:
            raise CommandError("--overlap says how long a rotated key lives on: add --rotate.")
        overlap = options["overlap"] or DEFAULT_OVERLAP
        key = self.issue(partial(self._make, options, overlap), options)
        if key.rotated_from is not None:
            self.tell_of_the_old_key(key.rotated_from, overlap, options)

    def _make(self, options: dict[str, Any], overlap: timedelta) -> IssuedKey:
        try:
            owner = get_service_user(options["service"])
        except UnknownServiceUser as unknown:
            if not options["create"]:
                raise CommandError(
                    f"{unknown} To make it: manage.py create_service_user {unknown.name}, or "
                    "add --create."
                ) from None
            owner = create_service_user(options["service"], context=self.context)
        verb = mint_key
        if options["rotate"]:
            verb = partial(mint_or_rotate, overlap=overlap)
        try:
            return verb(owner, name=options["name"], context=self.context, **_given(options))
        except InvalidInput as error:
            option = _OPTIONS.get(error.field)
            raise CommandError(f"{option}: {error}" if option else str(error)) from None


_OPTIONS = {
    "lifetime": "--expires-in",
    "metadata": "--metadata",
    "networks": "--network",
    "scopes": "--scope",
    "quota": "--quota",
    "rate": "--rate",
    "refill": "--refill",
    "delegation": "--for-service",
    "for_service": "--for-service",
    "child_metadata": "--child-metadata",
    "max_children": "--max-children",
}
"""What is typed for a field of the verb, where the message may not say it."""


_DELEGATION = {
    "service_users": "for_service",
    "metadata": "child_metadata",
    "most": "max_children",
}
"""The parts of a delegation, and what is typed for each."""


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the verb that were given; it has defaults for the others."""
    values = {
        "scopes": options["scope"],
        "metadata": options["metadata"],
        "networks": options["network"],
        "rate": options["rate"],
        "quota": options["quota"],
        "refill": options["refill"],
        "delegation": _delegation(options),
    }
    given = {name: value for name, value in values.items() if value is not None}
    if options["expires_in"] is not None:
        given["lifetime"] = None if options["expires_in"] == "never" else options["expires_in"]
    return given


def _delegation(options: dict[str, Any]) -> Delegation | None:
    said: dict[str, Any] = {}
    for part, option in _DELEGATION.items():
        if options[option] is not None:
            with named(option):
                said[part] = getattr(Delegation(**{part: options[option]}), part)
    return Delegation(**said) if said else None


def _lifetime(text: str) -> Any:
    return text if text == "never" else parse_duration(text)
