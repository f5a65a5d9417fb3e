"""What the commands share: errors that say what to do, and handing over a secret."""

from __future__ import annotations

import errno
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    no_translations,
)
from django.db import DatabaseError, IntegrityError, InterfaceError, transaction

from pikku_auth.core.durations import format_duration
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import AuditContext, IssuedKey
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import children_of, may_have_children
from pikku_auth.management.output import Stream, Unwritable, discard
from pikku_auth.models import APIKey

UNDELIVERED = 3
"""Exit code when a key could not be handed over, and so was not made."""

READER_GONE = 141
"""Exit code when whoever read stdout has left, as ``head`` does: 128 + SIGPIPE."""


MOST_SHOWN = 20
"""Keys that a question or a warning names."""


class _Parser(CommandParser):
    def error(self, message: str) -> NoReturn:
        if not self.called_from_command_line:
            raise CommandError(f"Error: {message}")
        self.exit(2, f"{self.prog}: {message}\n\n{self.format_usage()}")


class PikkuCommand(BaseCommand):
    """Base command: the result on stdout, messages on stderr."""

    requires_migrations_checks = True

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        """As Django's, but a wrong value is told in the first line, and the usage after it."""
        parser = super().create_parser(*args, **kwargs)
        parser.__class__ = _Parser
        return parser

    @no_translations
    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run, in English throughout, and turn what the operator can mend into one line."""
        self._prepare_streams(options)
        try:
            output = super().execute(*args, **options)
            self.stdout.flush()
            return output
        except InvalidInput as error:
            raise CommandError(str(error)) from None
        except IntegrityError as error:
            notes = " ".join(getattr(error, "__notes__", []))
            raise CommandError(
                f"The database refused the change ({str(error).strip()}). {notes}".strip()
            ) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(
                f"The database could not be used ({str(error).strip()}). Is it running, and "
                "has manage.py migrate been run?"
            ) from error
        except Unwritable as error:
            discard(self.stdout)
            if error.errno == errno.EPIPE:
                raise SystemExit(READER_GONE) from None
            raise CommandError(f"The answer could not be written ({error.strerror}).") from None

    def _prepare_streams(self, options: dict[str, Any]) -> None:
        """Write to streams of any encoding, and in no colour where ``NO_COLOR`` is set."""
        if os.environ.get("NO_COLOR") and not options["force_color"]:
            options["no_color"] = True
        for name in ("stdout", "stderr"):
            if options.get(name):
                options[name] = Stream(options[name])
            else:  # a wrapper of Django's, which knows the colour of errors
                wrapper = getattr(self, name)
                wrapper._out = Stream(wrapper._out)  # noqa: SLF001  # it has no public name

    def check_migrations(self) -> None:
        """Give Django's notice on stderr: on stdout it would be taken for the answer."""
        stdout, self.stdout = self.stdout, self.stderr
        try:
            super().check_migrations()
        finally:
            self.stdout = stdout

    @property
    def context(self) -> AuditContext:
        """The operating-system user that runs the command."""
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = ""
        return AuditContext(source="command", actor_name=name)

    def note(self, text: str, options: dict[str, Any]) -> None:
        """Write a message to stderr. A closed stderr is ignored."""
        if options["verbosity"] >= 1:
            with suppress(OSError, ValueError, AttributeError):
                self.stderr.write(text, style_func=str)


class RevokingCommand(PikkuCommand):
    """A command that ends something for good, and asks before it does."""

    stealth_options = ("stdin",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Why, and whether to ask."""
        parser.add_argument("--reason", default="", help="For the record, up to 200 characters.")
        parser.add_argument(
            "--no-input", "--noinput", action="store_false", dest="interactive", help="Don't ask."
        )

    def confirm(self, question: str, options: dict[str, Any]) -> None:
        """Ask, unless told not to.

        :raises CommandError: when there is nobody to ask, or the answer isn't yes.
        """
        if not options["interactive"]:
            return
        stdin = options.get("stdin") or sys.stdin
        if stdin is None or not stdin.isatty():  # a closed stdin is None
            raise CommandError("There is nobody to ask: add --no-input to revoke without asking.")
        self.stderr.write(f"{question} [y/N] ", str, ending="")
        self.stderr.flush()
        try:
            answer = stdin.readline()
        except KeyboardInterrupt:
            raise CommandError("\nNothing was revoked.", returncode=130) from None
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was revoked.")


class IssuingCommand(PikkuCommand):
    """A command whose answer is a new secret."""

    def add_arguments(self, parser: CommandParser) -> None:
        """How to hand the secret over."""
        parser.add_argument(
            "--format",
            choices=["text", "json", "env"],
            default="text",
            help="text: the key alone; json: one object; env: PIKKU_API_KEY=…",
        )
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="Write to a new file that only you can read, instead of stdout.",
        )

    def issue(self, make: Callable[[], IssuedKey], options: dict[str, Any]) -> APIKey:
        """Make a key and hand it over in one transaction: an undelivered key is never committed.

        Either it was handed over and is committed, or it never was: a killed rotation has
        not touched the old key.
        """
        with ExitStack() as cleanup, transaction.atomic(using=primary()):
            issued = make()
            text = _rendered(issued, options["format"])
            try:
                if options["output"]:
                    _write_new_file(options["output"], text, cleanup)
                else:
                    self._print(text)
            except OSError as error:
                raise CommandError(
                    f"The key could not be handed over ({error.strerror or error}), so it was "
                    "not made, and nothing has changed.",
                    returncode=UNDELIVERED,
                ) from None
        key = issued.key
        scopes = ", ".join(key.scopes) or "no scopes: it may authenticate, and nothing else"
        ends = f"expires {in_words(key.expires_at)}" if key.expires_at else "never expires"
        self.note(f"Key {key.pk}, {key} of {key.service_user}: {scopes}; {ends}.", options)
        if key.allowed_scopes != key.scopes:
            cut = ", ".join(key.allowed_scopes) or "nothing"
            self.note(f"The ceiling of {key.service_user} allows of these: {cut}.", options)
        where = f"It is in {options['output']}" if options["output"] else "Copy it now"
        self.note(f"{where}: it is stored only as a digest and cannot be shown again.", options)
        return key

    def tell_of_the_old_key(
        self, key: APIKey, overlap: timedelta | None, options: dict[str, Any]
    ) -> None:
        """Say how a rotated key ends; ``None`` for at once."""
        ending = "is revoked" if overlap is None else f"ends within {format_duration(overlap)}"
        self.note(f"The old key {key} {ending}.", options)

    def _print(self, text: str) -> None:
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError:
            discard(self.stdout)
            raise


def count(text: str) -> int:
    """Read a number of calls.

    :raises ValueError: when it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{text!r} is not a number of calls: write for example 1000.")
    return int(text)


def positive(text: str) -> int:
    """Read a whole number above 0.

    :raises ValueError: when it is none.
    """
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
        return int(text)
    raise ValueError("write a whole number above 0")


def in_words(moment: datetime) -> str:
    """A moment to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def minted_by(keys: Sequence[APIKey], **having: Any) -> int:
    """How many keys that are alive ``keys`` have minted, besides those among them."""
    chosen = {key.pk for key in keys}
    children = (
        children_of(key).filter(**having).values_list("pk", flat=True).iterator()
        for key in keys
        if may_have_children(key)
    )
    return sum(pk not in chosen for pk in chain.from_iterable(children))


def and_children(keys: Sequence[APIKey], **having: Any) -> str:
    """What follows a sentence about ``keys`` where more change with them."""
    number, who = minted_by(keys, **having), "it has" if len(keys) == 1 else "they have"
    return f", and {counted(number)} that {who} minted" if number else ""


def counted(number: int) -> str:
    """So many keys."""
    return "1 key" if number == 1 else f"{number} keys"


def user_named(username: str) -> Any:
    """The user of that name.

    :raises CommandError: when there is none.
    """
    model = get_user_model()
    try:
        return model._default_manager.using(primary()).get(**{model.USERNAME_FIELD: username})
    except (model.DoesNotExist, ValueError, ValidationError):  # a name may be a number, or a UUID
        raise CommandError(f"There is no user {username!r}.") from None


def as_json(key: APIKey, state: str) -> dict[str, Any]:
    """A key as scripts read it. Neither the secret nor its digest is in it."""
    return {
        "id": key.pk,
        "start": key.preview,
        "name": key.name,
        "service_user": key.service_user.name,
        "state": state,
        "scopes": key.scopes,
        "permissions": key.permissions,
        "allowed_scopes": key.allowed_scopes,
        "metadata": key.metadata,
        "delegation": key.delegation or None,
        "networks": key.networks,
        "rate": key.rate and str(key.rate),
        "remaining": key.remaining,
        "refill": key.refill and str(key.refill),
        "enabled": key.enabled,
        "parent": key.parent_id,
        "suspended": key.is_suspended,
        "created_at": key.created_at.isoformat(),
        "created_by": key.created_by and key.created_by.get_username(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "last_used_at": key.last_used_at and key.last_used_at.isoformat(),
        "last_used_ip": key.last_used_ip,
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "revoke_reason": key.revoke_reason,
        "rotated_from": key.rotated_from_id,
        "rotated_at": key.rotated_at and key.rotated_at.isoformat(),
    }


def _rendered(issued: IssuedKey, style: str) -> str:
    if style == "json":
        answer = {"key": issued.secret.reveal(), **as_json(issued.key, "active")}
        return json.dumps(answer, ensure_ascii=False)
    return f"{'PIKKU_API_KEY=' if style == 'env' else ''}{issued.secret.reveal()}"


def _write_new_file(path: Path, text: str, cleanup: ExitStack) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def remove_on_failure(kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            path.unlink(missing_ok=True)

    cleanup.push(remove_on_failure)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
