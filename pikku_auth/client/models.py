"""One login of the file ``session.json``: what it holds, and whether it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class Login:
    """What a server gave to a human. Times are ISO 8601 text, as in the file."""

    base_url: str
    access_token: str = field(repr=False)
    token_type: str
    expires_at: str | None = None
    user: Mapping[str, object] | None = None
    obtained_at: str | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether ``expires_at`` is reached; an absent or unreadable one never is."""
        expires_at = parse_time(self.expires_at)
        return expires_at is not None and expires_at <= now


def login_from_entry(base_url: str, entry: object) -> Login | None:
    """Read an entry of the file, or ``None`` when it is not of the known form.

    One whose ``baseURL`` is not its key doesn't say which server its token is for.
    """
    if not isinstance(entry, dict) or entry.get("baseURL", base_url) != base_url:
        return None
    token, user = entry.get("accessToken"), entry.get("user")
    if not isinstance(token, str) or not token:
        return None
    return Login(
        base_url=base_url,
        access_token=token,
        token_type=_text(entry.get("tokenType")) or "Bearer",
        expires_at=_text(entry.get("expiresAt")),
        user=user if isinstance(user, dict) else None,
        obtained_at=_text(entry.get("obtainedAt")),
    )


def entry_from_login(login: Login) -> dict[str, object]:
    """Write a login as an entry of the file; what is unknown is absent."""
    fields = {
        "baseURL": login.base_url,
        "accessToken": login.access_token,
        "tokenType": login.token_type,
        "expiresAt": login.expires_at,
        "user": None if login.user is None else dict(login.user),
        "obtainedAt": login.obtained_at,
    }
    return {name: value for name, value in fields.items() if value is not None}


ENTRY_FIELDS = frozenset({"baseURL", "accessToken", "tokenType", "expiresAt", "user", "obtainedAt"})


def name_of(user: object) -> str | None:
    """What to call the human: as their server's pages do, else email, else name, else id."""
    if not isinstance(user, Mapping):
        return None
    known = ("username", "email", "name", "id")
    return next((text for key in known if (text := _text(user.get(key)))), None)


def parse_time(text: str | None) -> datetime | None:
    """Read a time; one without a zone is local, as in JavaScript."""
    try:
        return datetime.fromisoformat(text or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def write_time(moment: datetime) -> str:
    """Write a time as JavaScript does: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
