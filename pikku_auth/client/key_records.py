"""An API key, as the server describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pikku_auth.client.exceptions import BadAnswer
from pikku_auth.client.models import parse_time
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import normalise, scope_strings
from pikku_auth.core.secrets import Secret

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """An API key without its secret.

    ``scopes`` is what it may do now, and ``permissions`` what it was minted with. ``state`` is
    ``active``, or why it can't be used; empty if the server doesn't say. ``parent`` is the id of
    the key that has minted it, and ``rotated_from`` of the key that it has followed.
    """

    id: str
    service_user: str
    name: str
    start: str
    state: str
    enabled: bool
    scopes: tuple[str, ...]
    permissions: Mapping[str, Sequence[str]]
    metadata: Mapping[str, Any]
    networks: tuple[str, ...]
    rate: Rate | None
    remaining: int | None
    refill: Rate | None
    delegation: Delegation | None
    parent: str | None
    rotated_from: str | None
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def minted_scopes(self) -> tuple[str, ...]:
        """``permissions``, as scopes."""
        return tuple(scope_strings(self.permissions))

    def __str__(self) -> str:
        """Such as ``ci (pka_Ab12Cd34…)``."""
        return f"{self.name} ({self.start}…)" if self.name else f"{self.start}…"


@dataclass(frozen=True)
class IssuedKey:
    """A new key with its secret, which the server can't show again: ``secret.reveal()``."""

    key: Key
    secret: Secret


def read_key(record: object) -> Key:
    """Read the record of a key. Members that only our servers have may be absent.

    :raises BadAnswer: when it is none.
    """
    try:
        return _read(_Record(record))
    except (TypeError, ValueError, OverflowError):
        raise BadAnswer(
            "The server's answer has no API key that can be read. Is --auth-path right?"
        ) from None


def key_as_json(key: Key) -> dict[str, object]:
    """A key as scripts read it, under the names that ``manage.py list_keys`` has for them."""
    return {
        "id": _number(key.id),
        "start": key.start,
        "name": key.name,
        "service_user": key.service_user,
        "state": key.state,
        "scopes": key.minted_scopes,
        "permissions": key.permissions,
        "allowed_scopes": key.scopes,
        "metadata": key.metadata,
        "networks": key.networks,
        "rate": key.rate and str(key.rate),
        "remaining": key.remaining,
        "refill": key.refill and str(key.refill),
        "enabled": key.enabled,
        "delegation": key.delegation and key.delegation.as_json(),
        "parent": _number(key.parent),
        "rotated_from": _number(key.rotated_from),
        "created_at": key.created_at and key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "last_used_at": key.last_used_at and key.last_used_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }


def _number(key_id: str | None) -> int | str | None:
    """An id as our servers have it, which is a number; other servers have others."""
    return int(key_id) if key_id is not None and key_id.isdecimal() else key_id


class _Record:
    """The members of an object, each of the type that it has to be.

    :raises TypeError: when one is of another.
    """

    def __init__(self, members: object) -> None:
        if not isinstance(members, dict):
            raise TypeError
        self._members = members

    def text(self, name: str) -> str | None:
        return self._typed(name, str)

    def number(self, name: str) -> int | None:
        return self._typed(name, int)

    def words(self, name: str) -> tuple[str, ...] | None:
        found = self._typed(name, list)
        if found is not None and not all(isinstance(word, str) for word in found):
            raise TypeError
        return None if found is None else tuple(found)

    def mapping(self, name: str) -> dict[str, Any]:
        return self._typed(name, dict) or {}

    def flag(self, name: str, default: bool) -> bool:
        found = self._typed(name, bool)
        return default if found is None else found

    def time(self, name: str) -> datetime | None:
        text = self.text(name)
        found = parse_time(text)
        if text is not None and found is None:
            raise TypeError
        return found

    def rate(self, count: str, milliseconds: str) -> Rate | None:
        most, period = self.number(count), self.number(milliseconds)
        if most is None or period is None:
            return None
        return Rate(most, timedelta(milliseconds=period))

    def _typed(self, name: str, kind: type[T]) -> T | None:
        found = self._members.get(name)
        if found is not None and not isinstance(found, kind):
            raise TypeError
        return found


def _read(record: _Record) -> Key:
    key_id = record.text("id")
    if not key_id:
        raise ValueError("a key has an id")
    permissions = normalise(record.mapping("permissions"), most=None)
    scopes = record.words("scopes")
    is_limited = record.flag("rateLimitEnabled", default=True)
    return Key(
        id=key_id,
        service_user=record.text("referenceId") or "",
        name=record.text("name") or "",
        start=record.text("start") or "",
        state=record.text("state") or "",
        enabled=record.flag("enabled", default=True),
        scopes=tuple(scope_strings(permissions)) if scopes is None else scopes,
        permissions=permissions,
        metadata=record.mapping("metadata"),
        networks=record.words("networks") or (),
        rate=record.rate("rateLimitMax", "rateLimitTimeWindow") if is_limited else None,
        remaining=record.number("remaining"),
        refill=record.rate("refillAmount", "refillInterval"),
        delegation=_delegation(record.mapping("delegation")),
        parent=record.text("parentId"),
        rotated_from=record.text("rotatedFrom"),
        created_at=record.time("createdAt"),
        expires_at=record.time("expiresAt"),
        last_used_at=record.time("lastRequest"),
        revoked_at=record.time("revokedAt"),
    )


def _delegation(members: dict[str, Any]) -> Delegation | None:
    if not members:
        return None
    record = _Record(members)
    return Delegation(
        service_users=record.words("organizationIds") or (),
        metadata=record.words("metadata") or (),
        most=record.number("maxKeys") or Delegation().most,
    )
