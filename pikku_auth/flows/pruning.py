"""Forgetting what is long over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pikku_auth.flows.audit import CODE, Origin, record
from pikku_auth.flows.database import primary
from pikku_auth.models import (
    APIKey,
    Attempts,
    AuditEvent,
    DeviceCode,
    LoginSession,
    SocketTicket,
)

DAY = timedelta(days=1)
BATCH = 1_000
"""Rows a statement deletes at most, so that none holds its locks for long."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were deleted."""

    keys: int
    logins: int
    codes: int
    tickets: int
    events: int


def prune(
    *,
    keys_older_than: timedelta,
    events_older_than: timedelta,
    origin: Origin = CODE,
    now: datetime | None = None,
) -> Pruned:
    """Delete keys and logins that ended, and audit events that happened, so long ago.

    Device codes go a day after they have expired; WebSocket tickets too, once what they have
    opened is over.

    Safe to run twice at once, and to kill: each batch is a transaction of its own.
    """
    using, now = primary(), now or timezone.now()
    long_over = now - keys_older_than
    dead = Q(revoked_at__lt=long_over) | Q(expires_at__lt=long_over)
    keys = _delete_in_batches(APIKey.objects.using(using).filter(dead))
    logins = _delete_in_batches(LoginSession.objects.using(using).filter(dead))
    codes = _delete_in_batches(DeviceCode.objects.using(using).filter(expires_at__lt=now - DAY))
    _delete_in_batches(Attempts.objects.using(using).filter(window_started_at__lt=now - DAY))
    session_over = Q(session_expires_at=None) | Q(session_expires_at__lt=now)
    past = SocketTicket.objects.using(using).filter(session_over, redeem_by__lt=now - DAY)
    tickets = _delete_in_batches(past)
    old = AuditEvent.objects.using(using).filter(at__lt=now - events_older_than)
    events = _delete_in_batches(old)
    if keys or logins or events:
        with transaction.atomic(using=using):
            record(
                AuditEvent.Action.PRUNED,
                origin=origin,
                now=now,
                using=using,
                keys=keys,
                logins=logins,
                events=events,
            )
    return Pruned(keys, logins, codes, tickets, events)


def _delete_in_batches(rows: QuerySet[Any]) -> int:
    model, deleted = rows.model, 0
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        # A plain QuerySet: the one of AuditEvent refuses to delete.
        _, counts = QuerySet(model, using=rows.db).filter(pk__in=batch).delete()
        deleted += counts.get(model._meta.label, 0)
    return deleted
