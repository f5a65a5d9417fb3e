"""Asking a server whose token it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from pikku_auth.client.api import AuthServer
from pikku_auth.client.exceptions import NotLoggedIn
from pikku_auth.client.models import name_of, parse_time
from pikku_auth.client.text import MAX_NAME, printable

_LONGEST_LINE = 1_000
_USER_FIELDS = ("id", "username", "email", "name")


@dataclass(frozen=True)
class Who:
    """The user and the expiry, as the server reports them."""

    user: Mapping[str, object] | None
    expires_at: str | None
    scopes: tuple[str, ...] | None = None
    """What the login may do; ``None`` where the server doesn't say."""

    @property
    def name(self) -> str | None:
        return name_of(self.user)


def who_is(server: AuthServer, token: str) -> Who:
    """Ask the server for the session of the token.

    :raises NotLoggedIn: when the server doesn't know the token.
    :raises BadAnswer: when the server says neither.
    """
    answer = server.get_session(token)
    if answer.status == 401 or (answer.is_success and answer.body is None):
        raise NotLoggedIn(f"{server.origin} doesn't know this login.")
    session, user = answer.member("session"), answer.member("user")
    if not answer.is_success or not (session or user):
        raise answer.failure("Asking who you are")
    expires_at = session.get("expiresAt")
    known = isinstance(expires_at, str) and parse_time(expires_at) is not None
    return Who(
        user=_told(user) or None,
        expires_at=expires_at if known else None,
        scopes=_words(session.get("scopes")),
    )


@dataclass(frozen=True)
class KnownKey:
    """An API key, as the server's ``whoami`` reports it. ``told`` is the whole answer."""

    told: Mapping[str, object]

    @property
    def user(self) -> str | None:
        user = self.told.get("service_user") or self.told.get("user")
        return printable(user, MAX_NAME) if isinstance(user, str) else None

    def __str__(self) -> str:
        """Such as ``sandbox-runtime: key pka_6jXVBBdT… "ci", scopes sandbox:read, no expiry``."""
        key = self.told.get("key")
        key = key if isinstance(key, Mapping) else {}
        start, name, left = key.get("start"), key.get("name"), key.get("remaining")
        scopes = _words(self.told.get("scopes"))
        expires_at = self.told.get("expires_at")
        parts = [
            " ".join(filter(None, ["key", start and f"{start}…", name and f"“{name}”"])),
            f"scopes {' '.join(scopes)}" if scopes else "no scopes",
            until(expires_at if isinstance(expires_at, str) else None).strip(" ()") or "no expiry",
            *([f"{left} calls left"] if isinstance(left, int) else []),
        ]
        return printable(f"{self.user or '(unknown)'}: {', '.join(parts)}", _LONGEST_LINE)


def what_is(server: AuthServer, header: str, key: str) -> KnownKey:
    """Ask what an API key is.

    :raises NotLoggedIn: when the server refuses the key.
    :raises BadAnswer: when it says something else.
    """
    answer = server.whoami(header, key)
    if answer.status in (401, 403):
        reason = answer.text("detail") or f"It answered {answer.status}."
        raise NotLoggedIn(printable(f"{server.origin} refuses this key. {reason}", _LONGEST_LINE))
    if not answer.is_success or not isinstance(answer.body, dict) or answer.text("via") is None:
        raise answer.failure("Asking what this key is")
    return KnownKey(answer.body)


def _words(told: object) -> tuple[str, ...] | None:
    """The texts of a list, each of a sensible length; ``None`` when it is no list."""
    if not isinstance(told, list):
        return None
    return tuple(printable(word, MAX_NAME) for word in told if isinstance(word, str))


def _told(user: Mapping[str, object]) -> dict[str, object]:
    """What of a server's user is kept and shown: text of a sensible length, or ``None``."""
    return {
        name: value and printable(value, MAX_NAME)
        for name in _USER_FIELDS
        if name in user and isinstance(value := user[name], str | None)
    }


def until(expires_at: str | None) -> str:
    """`` (expires 2026-12-23 09:00 UTC)``, as the server's commands write it, or nothing."""
    moment = parse_time(expires_at)
    return "" if moment is None else f" (expires {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"
