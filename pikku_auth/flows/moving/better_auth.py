"""The keys of better-auth's plugin, from a dump of its table ``apikey``."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import normalise, scope_strings
from pikku_auth.flows.moving.peers import PREVIEW_LENGTH, Found, Peer

Row = Mapping[str, Any]

_DIGEST_LENGTH = 32
"""Bytes of a SHA-256."""


class BetterAuth(Peer):
    """better-auth: SHA-256 in base64url, and scopes, limits and metadata as ours.

    ``rows`` are those of the table ``apikey``, as its database writes them in JSON. The metadata
    is what the owners of the keys have written there: ``with_metadata`` takes it over all the same.
    """

    name = "better-auth"
    has_users = False
    has_scopes = True
    headers: ClassVar[list[str]] = ["x-api-key"]

    def __init__(self, rows: Iterable[Row], *, with_metadata: bool = False) -> None:
        super().__init__()
        self._rows = rows
        self._with_metadata = with_metadata

    def credentials(self, now: datetime) -> Iterator[Found]:
        """Each key in the dump; of one that can't be read, its problem."""
        for row in self._rows:
            yield self._found(row, now)

    def _found(self, row: Row, now: datetime) -> Found:
        digest = _digest_of(row.get("key"))
        name, preview = str(row.get("name") or ""), _preview_of(row)
        try:
            return Found(
                digest,
                preview,
                name=name,
                expires_at=_moment(row.get("expiresAt")),
                problem=_problem(row, digest, now),
                scopes=_scopes(row),
                options=self._options(row),
            )
        except (TypeError, ValueError) as error:
            return Found(digest, preview, name=name, problem=f"it can't be read: {error}")

    def _options(self, row: Row) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if row.get("rateLimitEnabled"):
            options["rate"] = _rate(row.get("rateLimitMax"), row.get("rateLimitTimeWindow"))
        if row.get("remaining") is not None:
            refill = _refill(row)
            options["refill"] = refill
            options["quota"] = row["remaining"] or (refill and refill.count)
        if self._with_metadata:
            options["metadata"] = _json(row.get("metadata")) or {}
        return options


def _digest_of(key: object) -> str:
    """The SHA-256 in hex; empty if it is kept in another form."""
    try:
        raw = urlsafe_b64decode(f"{key}=")
    except ValueError:
        return ""
    return raw.hex() if len(raw) == _DIGEST_LENGTH else ""


def _preview_of(row: Row) -> str:
    return str(row.get("start") or row.get("id"))[:PREVIEW_LENGTH]


def _problem(row: Row, digest: str, now: datetime) -> str:
    expires_at = _moment(row.get("expiresAt"))
    if not row.get("enabled", True):
        return "it is disabled"
    if expires_at is not None and expires_at <= now:
        return "it has expired"
    if row.get("remaining") == 0 and _refill(row) is None:
        return "its quota is used up"
    return "" if digest else "it is not kept as a SHA-256"


def _scopes(row: Row) -> list[str] | None:
    """Its permissions; ``None`` if it has none.

    :raises ValueError: when they are no scopes.
    """
    permissions = _json(row.get("permissions"))
    return scope_strings(normalise(permissions)) if permissions else None


def _json(value: Any) -> Any:
    """What a column has, which may be JSON in a text.

    :raises ValueError: when it is not.
    """
    return json.loads(value) if isinstance(value, str) and value else value


def _moment(value: Any) -> datetime | None:
    """A moment in ISO 8601, or in milliseconds since 1970; without a time zone it is in UTC.

    :raises ValueError: when it is neither.
    """
    if value is None:
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refill(row: Row) -> Rate | None:
    return _rate(row.get("refillAmount"), row.get("refillInterval"))


def _rate(count: Any, milliseconds: Any) -> Rate | None:
    """So many in so many milliseconds; ``None`` if there is no such limit.

    :raises ValueError: when it is none that can be counted.
    """
    if not count or not milliseconds:
        return None
    return Rate(count, timedelta(milliseconds=milliseconds))
