"""After a backup was restored: do again what ended or stopped a credential since it was made.

A row of an export is known by its subject, and not by ids alone: a database that went back in time
gives the ids of then to new rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from pikku_auth.flows.audit import CODE, AuditContext
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.revoke import disable_key, revoke_key
from pikku_auth.flows.logins import revoke_login
from pikku_auth.flows.service_users import deactivate_service_user
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser
from pikku_auth.models.users import username_of

C = TypeVar("C", APIKey, LoginSession)

_Action = AuditEvent.Action
_CREDENTIAL = re.compile(r"(?:.*\()?(?P<preview>[^()]+)…\)? of (?P<owner>.*)", re.DOTALL)
_REASON = "revoked before the restore"
_ROTATED = "rotated before the restore"

_SWITCHES = {
    _Action.KEY_DISABLED: _Action.KEY_ENABLED,
    _Action.SERVICE_USER_DEACTIVATED: _Action.SERVICE_USER_ACTIVATED,
}
"""What stops something, and what undoes that."""

_MADE = {_Action.KEY_MINTED, _Action.KEY_IMPORTED}
_BY_HAND = {_Action.KEY_BOUNDS_SET, _Action.SERVICE_USER_SCOPES_SET}


class Outcome(StrEnum):
    """What became of an event."""

    DONE = "done"
    LATER = "later"
    BY_HAND = "by hand"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ExportedEvent:
    """A row of an export of the audit trail."""

    at: datetime
    action: str
    subject: str
    key_id: int | None = None
    login_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reapplied:
    """An event of which the restored database knew nothing, and what became of it.

    ``LATER`` is a rotated key that may live a little longer, ``BY_HAND`` a ceiling or bounds that
    somebody has to set again, or a key that can't be told from another, and ``GONE`` one that was
    made since the backup.
    """

    event: ExportedEvent
    outcome: Outcome


def reapply_revocations(
    events: Iterable[ExportedEvent],
    *,
    dry_run: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Iterator[Reapplied]:
    """Revoke keys, end logins, disable keys and deactivate service users as ``events`` say.

    Of what was switched off and on again the last event counts. A key that was rotated ends when
    its overlap is over. What is so already is left alone, so that a second run does nothing. With
    ``dry_run`` nothing is changed.
    """
    now = now or timezone.now()
    run = _Run(dry_run, context, now)
    ordered = sorted(events, key=lambda event: event.at)
    last = {(_identity(event), event.action): event for event in ordered}
    for event in ordered:
        if not (_is_undone(event, last) or _is_over(event, last, now)):
            outcome = run.outcome_of(event)
            if outcome is not None:
                yield Reapplied(event, outcome)


def _identity(event: ExportedEvent) -> str:
    """What stays of a subject when the key is renamed: its preview and its owner."""
    match = _CREDENTIAL.fullmatch(event.subject)
    return f"{match['preview']} {match['owner']}" if match else event.subject


_Last = Mapping[tuple[str, str], ExportedEvent]
"""The last event of each kind about each row."""


def _is_undone(event: ExportedEvent, last: _Last) -> bool:
    """Whether it has stopped something that went on, or that was stopped once more, later."""
    if event.action not in _SWITCHES:
        return False
    row = _identity(event)
    undoing = last.get((row, _SWITCHES[_Action(event.action)]))
    return last[row, event.action] is not event or (undoing is not None and undoing.at >= event.at)


def _is_over(event: ExportedEvent, last: _Last, now: datetime) -> bool:
    """Whether it has made a key that nobody misses: it was revoked, or has expired."""
    if event.action not in _MADE:
        return False
    end = event.details.get("expires_at")
    is_revoked = (_identity(event), _Action.KEY_REVOKED) in last
    return is_revoked or (end is not None and datetime.fromisoformat(str(end)) <= now)


class _Run:
    def __init__(self, dry_run: bool, context: AuditContext, now: datetime) -> None:
        self._dry_run, self._context, self._now = dry_run, context, now
        self._using = primary()

    def outcome_of(self, event: ExportedEvent) -> Outcome | None:
        """Do again what ``event`` did; ``None`` where there is nothing to do."""
        try:
            return self._outcome_of(event)
        except LookupError:
            return Outcome.BY_HAND

    def _outcome_of(self, event: ExportedEvent) -> Outcome | None:
        match event.action:
            case _Action.KEY_REVOKED:
                return self._revoke_key(event, str(event.details.get("reason") or _REASON))
            case _Action.KEY_ROTATED:
                return self._end_rotated(event)
            case _Action.LOGIN_REVOKED:
                return self._revoke_login(event)
            case _Action.KEY_DISABLED:
                return self._disable(event)
            case _Action.SERVICE_USER_DEACTIVATED:
                return self._deactivate(event)
        if event.action in _MADE:
            return None if self._key_of(event) else Outcome.GONE
        is_new = event.action in _BY_HAND and not self._knows(event)
        return Outcome.BY_HAND if is_new else None

    def _revoke_key(self, event: ExportedEvent, reason: str) -> Outcome | None:
        key = self._key_of(event)
        if key is None or key.revoked_at is not None:
            return None
        if not self._dry_run:
            revoke_key(key, reason=reason, context=self._context, now=self._now)
        return Outcome.DONE

    def _end_rotated(self, event: ExportedEvent) -> Outcome | None:
        key = self._key_of(event)
        if key is None or key.rotated_at is not None or key.revoked_at is not None:
            return None
        end = event.at + timedelta(seconds=float(event.details.get("overlap_seconds") or 0))
        return self._revoke_key(event, _ROTATED) if end <= self._now else Outcome.LATER

    def _revoke_login(self, event: ExportedEvent) -> Outcome | None:
        rows = LoginSession.objects.using(self._using).select_related("user")
        login = _credential(event, event.login_id, rows)
        if login is None or login.revoked_at is not None:
            return None
        if not self._dry_run:
            reason = str(event.details.get("reason") or _REASON)
            revoke_login(login, reason=reason, context=self._context, now=self._now)
        return Outcome.DONE

    def _disable(self, event: ExportedEvent) -> Outcome | None:
        key = self._key_of(event)
        if key is None or not key.enabled or key.revoked_at is not None or self._undone(event, key):
            return None
        if not self._dry_run:
            disable_key(key, context=self._context, now=self._now)
        return Outcome.DONE

    def _deactivate(self, event: ExportedEvent) -> Outcome | None:
        everyone = ServiceUser.objects.using(self._using).select_related("user")
        found = everyone.filter(name=event.subject, is_active=True).first()
        if found is None or self._undone(event, found):
            return None
        if not self._dry_run:
            deactivate_service_user(found, context=self._context, now=self._now)
        return Outcome.DONE

    def _undone(self, event: ExportedEvent, row: APIKey | ServiceUser) -> bool:
        """Whether the database says that it was undone later, such as after the restore."""
        link = "key" if isinstance(row, APIKey) else "service_user"
        undoing = AuditEvent.objects.using(self._using).filter(
            action=_SWITCHES[_Action(event.action)], at__gte=event.at
        )
        return undoing.filter(**{link: row}).exists()

    def _knows(self, event: ExportedEvent) -> bool:
        """Whether the event itself is in the database, because it came before the backup."""
        known = AuditEvent.objects.using(self._using).filter(at=event.at, action=event.action)
        return known.filter(subject=event.subject).exists()

    def _key_of(self, event: ExportedEvent) -> APIKey | None:
        rows = APIKey.objects.using(self._using).select_related("service_user__user")
        return _credential(event, event.key_id, rows)


def _credential(event: ExportedEvent, pk: int | None, rows: QuerySet[C]) -> C | None:
    """The key or login that ``event`` is about, if the database has it.

    :raises LookupError: when several may be meant.
    """
    match = _CREDENTIAL.fullmatch(event.subject)
    if match is None:
        return None
    older = rows.filter(preview=match["preview"], created_at__lte=event.at)
    alike = [row for row in older if row.preview == match["preview"]]
    same = [row for row in alike if row.pk == pk]
    found = same or [row for row in alike if _owner_of(row) == match["owner"]]
    if len(found) > 1:
        raise LookupError
    return found[0] if found else None


def _owner_of(row: APIKey | LoginSession) -> str:
    return row.service_user.name if isinstance(row, APIKey) else username_of(row.user)
