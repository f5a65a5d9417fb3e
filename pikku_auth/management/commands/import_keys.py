"""``manage.py import_keys --from knox --dry-run``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from pikku_auth.conf import conf
from pikku_auth.core.permissions import normalise
from pikku_auth.flows.keys.validation import known_scopes, named
from pikku_auth.flows.moving.better_auth import BetterAuth
from pikku_auth.flows.moving.moves import FOR_EVER, Choices, Move, move, retire
from pikku_auth.flows.moving.peers import PEERS, Peer
from pikku_auth.flows.service_users import get_service_user
from pikku_auth.management.base import PikkuCommand, in_words, user_named
from pikku_auth.models import APIKey, LoginSession
from pikku_auth.models.users import username_of

_SOURCES = sorted([*PEERS, BetterAuth.name])

_OUTCOMES = {
    "imported": ("imported", "would be imported"),
    "here": ("here already", "here already"),
    "skipped": ("skipped", "would be skipped"),
    "dead": ("dead here, and alive there", "dead here, and alive there"),
    "retired": ("deleted there", "would be deleted there"),
}
"""What became of a credential, and what would become of it."""


class Command(PikkuCommand):
    """Take over what another package has issued."""

    help = (
        "Take over the keys and tokens that another package has issued, such that its callers go "
        "on with what they have. Run it first with --dry-run. Running it again takes over what "
        "is new, and goes on after an interruption."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """From where, and as what."""
        parser.add_argument(
            "--from", dest="source", required=True, choices=_SOURCES, help="The package."
        )
        parser.add_argument(
            "--file",
            type=Path,
            metavar="FILE",
            help="A dump of better-auth's table apikey, as an array of JSON.",
        )
        parser.add_argument(
            "--with-metadata",
            action="store_true",
            help="Take over better-auth's metadata, which the owners of the keys have written.",
        )
        parser.add_argument(
            "--model", default="", metavar="APP.MODEL", help="Its model, if you have your own."
        )
        parser.add_argument(
            "--adopt",
            action="append",
            default=[],
            metavar="USER[=NAME]",
            help="A user who is a bot: becomes a service user, and its tokens keys; repeatable.",
        )
        parser.add_argument(
            "--service",
            default="",
            metavar="NAME",
            help="The service user of keys that belong to nobody there.",
        )
        parser.add_argument(
            "--scope",
            action="append",
            metavar="RESOURCE:ACTION",
            help="What each key may do, where the package knows no scopes; repeatable.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would happen.")
        parser.add_argument(
            "--retire",
            nargs="?",
            choices=["dead", "all"],
            const="dead",
            help="Import nothing: delete in the package what was imported and is dead here, or all "
            "that was imported.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell of each credential on stdout, and how many there were on stderr."""
        peer, choices = _peer(options), _choices(options)
        how: dict[str, Any] = {"dry_run": options["dry_run"], "context": self.context}
        if options["retire"]:
            if isinstance(peer, BetterAuth):
                raise CommandError("Delete its rows in better-auth's own database.")
            moves = retire(peer, which=options["retire"], **how)
        else:
            _require_complete(peer, choices)
            moves = move(peer, choices, **how)
        try:
            self._tell(moves, options)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if not options["retire"]:
            self._tell_of_the_setting(peer, options)
        if options["with_metadata"]:
            self.note(
                "The metadata was written by the owners of the keys: let nothing depend on it.",
                options,
            )

    def _tell(self, moves: Iterable[Move], options: dict[str, Any]) -> None:
        counts: Counter[str] = Counter()
        for one in moves:
            words = _OUTCOMES[one.outcome][options["dry_run"]]
            counts[words] += 1
            self.stdout.write(f"{words}: {one.found.preview}…{_details(one)}")
            self.stdout.flush()
        told = ", ".join(f"{number} {words}" for words, number in counts.items())
        self.note(f"{told or 'Nothing was found'}.", options)
        if counts[_OUTCOMES["dead"][0]]:
            self.note(
                "What is dead here and alive there opens whatever still asks that package: "
                "--retire deletes it there.",
                options,
            )

    def _tell_of_the_setting(self, peer: Peer, options: dict[str, Any]) -> None:
        if conf.imported_keys is None:
            self.note(
                "Nothing that was imported works yet: set PIKKU_AUTH['IMPORTED_KEYS'] = "
                f'{{"headers": {peer.headers}, "until": …}}.',
                options,
            )


def _peer(options: dict[str, Any]) -> Peer:
    """The package that the options name.

    :raises CommandError: when its dump is missing or can't be read.
    """
    file, source = options["file"], options["source"]
    if source != BetterAuth.name:
        if file is not None or options["with_metadata"]:
            raise CommandError(f"{source} is read from its table, and has no metadata.")
        return PEERS[source](options["model"])
    if file is None:
        raise CommandError("Name a dump of better-auth's table apikey with --file.")
    try:
        rows = json.loads(file.read_text(encoding="utf-8") or "null") or []
    except OSError as error:
        raise CommandError(f"{file} can't be read ({error.strerror}).") from None
    except ValueError as error:
        raise CommandError(f"{file} is not JSON ({error}).") from None
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise CommandError(f"{file} is not an array of objects.")
    return BetterAuth(rows, with_metadata=options["with_metadata"])


def _choices(options: dict[str, Any]) -> Choices:
    adopt = {}
    for text in options["adopt"]:
        username, _, name = text.partition("=")
        adopt[username_of(user_named(username))] = name or username
    return Choices(scopes=options["scope"], adopt=adopt, service=options["service"])


def _require_complete(peer: Peer, choices: Choices) -> None:
    """Insist on what has to be said of the keys that are made.

    :raises CommandError: when it is missing.
    :raises InvalidInput: when a scope is none, or unknown here.
    """
    with named("scopes"):
        known_scopes(normalise(choices.scopes or []))
    if not peer.has_users:
        if not choices.service:
            raise CommandError(f"Keys of {peer.name} belong to nobody: say whose with --service.")
        get_service_user(choices.service)
    elif choices.service:
        raise CommandError(f"Tokens of {peer.name} belong to users: name the bots with --adopt.")
    makes_keys = (bool(choices.adopt) or not peer.has_users) and not peer.has_scopes
    if makes_keys and not choices.scopes:
        raise CommandError(f"{peer.name} knows no scopes: say with --scope what its keys may do.")


def _details(one: Move) -> str:
    """Whose it is, until when, and whether it is used."""
    name = f" ({one.found.name})" if one.found.name else ""
    user = f" of {username_of(one.found.user)}" if one.found.user else ""
    if one.outcome == "skipped":
        return f"{name}{user}: {one.reason}"
    kind = "key" if isinstance(one.row, APIKey) else "login"
    if isinstance(one.row, APIKey):
        user = f" of {one.row.service_user}"
    if one.outcome == "imported":
        return f"{name}, a {kind}{user}, {_end(one.row)}"
    return f"{name}, a {kind}{user}, {_use(one.row)}"


def _end(row: APIKey | LoginSession | None) -> str:
    end = row and row.expires_at
    return f"until {in_words(end)}" if end and end < FOR_EVER else "for ever"


def _use(row: APIKey | LoginSession | None) -> str:
    last = row and row.last_used_at
    return f"last used {in_words(last)}" if last else "not used since"
