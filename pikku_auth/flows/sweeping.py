"""Bounds for the tables that requests fill: device codes, attempts, tickets, ids of requests.

Whoever adds a row takes a few away that are over, and the oldest ones beyond the bound, so
that no table waits for ``prune_auth``. To refuse at the bound instead would let whoever fills
the table lock everybody else out.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet

from pikku_auth.models import Attempts, DeviceCode, SocketTicket, UsedRequest
from pikku_auth.models.users import User

BATCH = 50
"""Rows that one request deletes at most."""

MOST_UNCLAIMED_CODES = 10_000
MOST_ATTEMPTS = 20_000
MOST_TICKETS = 10_000
MOST_TICKETS_OF_A_USER = 1_000

_AFTER_EXPIRY = timedelta(minutes=10)
"""For so long a device and its human are still told that their code has expired."""

_AFTER_REDEMPTION = timedelta(days=1)
"""For so long a second use of a device code still revokes what the first gave."""


def sweep_codes(now: datetime, using: str) -> None:
    """Bound the device codes. Those that somebody has claimed are bounded per human."""
    rows = DeviceCode.objects.using(using)
    _delete_some(past_codes(now, using))
    unclaimed = rows.filter(status=DeviceCode.Status.PENDING, user=None)
    _delete_beyond(unclaimed, "expires_at", MOST_UNCLAIMED_CODES)


def sweep_attempts(now: datetime, using: str) -> None:
    """Bound the counters."""
    _delete_some(past_attempts(now, using))
    _delete_beyond(Attempts.objects.using(using), "expires_at", MOST_ATTEMPTS)


def sweep_tickets(now: datetime, user: User | None, using: str) -> None:
    """Bound the tickets over all, and those of ``user``'s browser sessions."""
    rows = SocketTicket.objects.using(using)
    _delete_some(past_tickets(now, using))
    _delete_beyond(rows.filter(redeemed_at=None), "redeem_by", MOST_TICKETS)
    if user is not None:
        _delete_beyond(rows.filter(user_id=user.pk), "redeem_by", MOST_TICKETS_OF_A_USER)


def sweep_requests(now: datetime, using: str) -> None:
    """Forget ids of requests. How many there are, the rate of each caller bounds."""
    _delete_some(past_requests(now, using))


def past_codes(now: datetime, using: str) -> QuerySet[DeviceCode]:
    """Device codes that are useless by now."""
    redeemed = Q(status=DeviceCode.Status.CONSUMED)
    long_over = Q(expires_at__lt=now - _AFTER_REDEMPTION)
    over = ~redeemed & Q(expires_at__lt=now - _AFTER_EXPIRY)
    return DeviceCode.objects.using(using).filter(over | long_over)


def past_attempts(now: datetime, using: str) -> QuerySet[Attempts]:
    """Counters whose window is over."""
    return Attempts.objects.using(using).filter(expires_at__lt=now)


def past_requests(now: datetime, using: str) -> QuerySet[UsedRequest]:
    """Ids of requests that may be used anew."""
    return UsedRequest.objects.using(using).filter(expires_at__lt=now)


def past_tickets(now: datetime, using: str) -> QuerySet[SocketTicket]:
    """Tickets that can't be redeemed any more and keep no WebSocket open.

    The row of a redeemed one is looked at while the browser's session lasts.
    """
    keeps_open = Q(redeemed_at__isnull=False, session_expires_at__gte=now)
    return SocketTicket.objects.using(using).filter(~keeps_open, redeem_by__lt=now)


def batch_of(rows: QuerySet[Any], size: int) -> list[Any]:
    """The primary keys of at most ``size`` of ``rows``."""
    return list(rows.order_by("pk").values_list("pk", flat=True)[:size])


def delete(rows: QuerySet[Any], keys: list[Any]) -> int:
    """Delete the rows of that model with these primary keys, and say how many there were."""
    model = rows.model
    # A plain QuerySet: the one of AuditEvent refuses to delete.
    _, counts = QuerySet(model, using=rows.db).filter(pk__in=keys).delete()
    return counts.get(model._meta.label, 0)


def _delete_some(rows: QuerySet[Any]) -> None:
    with _unless_locked(), transaction.atomic(using=rows.db):
        delete(rows, batch_of(rows, BATCH))


def _delete_beyond(rows: QuerySet[Any], end: str, most: int) -> None:
    """Delete what exceeds ``most``; those that end soonest go first."""
    newest_first = rows.order_by(f"-{end}", "-pk").values_list("pk", flat=True)
    with _unless_locked(), transaction.atomic(using=rows.db):
        delete(rows, list(newest_first[most : most + BATCH]))


def _unless_locked() -> suppress:
    """Ignore a deadlock, or a file that is locked: the next request sweeps again."""
    return suppress(OperationalError)
