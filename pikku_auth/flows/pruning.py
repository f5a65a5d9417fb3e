"""Forgetting what is long over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pikku_auth.flows.audit import CODE, AuditContext, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.sweeping import batch_of, delete, past_attempts, past_codes, past_tickets
from pikku_auth.models import APIKey, AuditEvent, LoginSession

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
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Pruned:
    """Delete keys and logins that ended, and audit events that happened, so long ago.

    Device codes and WebSocket tickets go when nobody has a use for them. A few of them go by
    themselves, whenever new ones come.

    Safe to run twice at once, and to kill: each batch is a transaction of its own.
    """
    using, now = primary(), now or timezone.now()
    long_over = now - keys_older_than
    dead = Q(revoked_at__lt=long_over) | Q(expires_at__lt=long_over)
    keys = _delete_in_batches(APIKey.objects.using(using).filter(dead))
    logins = _delete_in_batches(LoginSession.objects.using(using).filter(dead))
    codes = _delete_in_batches(past_codes(now, using))
    _delete_in_batches(past_attempts(now, using))
    tickets = _delete_in_batches(past_tickets(now, using))
    old = AuditEvent.objects.using(using).filter(at__lt=now - events_older_than)
    events = _delete_in_batches(old)
    if keys or logins or events:
        with transaction.atomic(using=using):
            record(
                AuditEvent.Action.PRUNED,
                context=context,
                now=now,
                using=using,
                keys=keys,
                logins=logins,
                events=events,
            )
    return Pruned(keys, logins, codes, tickets, events)


def _delete_in_batches(rows: QuerySet[Any]) -> int:
    deleted = 0
    while keys := batch_of(rows, BATCH):
        deleted += delete(rows, keys)
    return deleted
