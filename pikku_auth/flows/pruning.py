"""Forgetting what is long over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pikku_auth.flows.audit import CODE, AuditContext, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.forgetting import (
    erase_addresses,
    events_with_address,
    logins_with_address,
)
from pikku_auth.flows.sweeping import (
    delete,
    past_attempts,
    past_codes,
    past_requests,
    past_tickets,
)
from pikku_auth.models import APIKey, AuditEvent, LoginSession

BATCH = 1_000
"""Rows a transaction deletes at most, so that none holds its locks for long."""

SECONDS_A_BATCH = 0.1
"""What a batch should take. The next one is smaller if it took longer, and larger if not."""

Progress = Callable[[str, int], object]
"""Is told after each batch what is deleted, and how many of that are by now."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were deleted."""

    keys: int
    logins: int
    codes: int
    tickets: int
    events: int
    addresses: int = 0
    """In how many events and logins it was erased where from they came."""
    is_done: bool = True
    """Whether nothing is left that is old enough."""


def prune(
    *,
    keys_older_than: timedelta,
    events_older_than: timedelta,
    addresses_older_than: timedelta | None = None,
    limit: int | None = None,
    duration: timedelta | None = None,
    progress: Progress | None = None,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Pruned:
    """Delete keys and logins that ended, and audit events that happened, so long ago.

    Device codes and WebSocket tickets are deleted once they are useless; a few of them already
    whenever new ones are made. With ``addresses_older_than`` the addresses and user agents of
    events that happened so long ago, and of logins that ended, are erased. At most ``limit`` rows
    are deleted or erased, and no new batch begins after ``duration``; the next call goes on.

    Safe to run twice at once, and to kill: each batch is a transaction of its own.
    """
    using, now = primary(), now or timezone.now()
    long_over = now - keys_older_than
    dead = Q(revoked_at__lt=long_over) | Q(expires_at__lt=long_over)
    run = _Run(limit, duration, progress)
    dead_keys = APIKey.objects.using(using).filter(dead)
    keys = run.delete("keys", dead_keys.filter(parent__isnull=False))
    keys += run.delete("keys", dead_keys.filter(parent=None, children=None))
    logins = run.delete("logins", LoginSession.objects.using(using).filter(dead))
    codes = run.delete("device codes", past_codes(now, using))
    run.delete("counters", past_attempts(now, using))
    run.delete("used requests", past_requests(now, using))
    tickets = run.delete("tickets", past_tickets(now, using))
    old = AuditEvent.objects.using(using).filter(at__lt=now - events_older_than)
    events = run.delete("audit events", old)
    addresses = 0
    if addresses_older_than is not None:
        before = now - addresses_older_than
        for rows in (events_with_address(before, using), logins_with_address(before, using)):
            addresses += run.each("addresses", rows, erase_addresses)
    more: dict[str, Any] = {"addresses": addresses} if addresses else {}
    if keys or logins or events or addresses:
        with transaction.atomic(using=using):
            record(
                AuditEvent.Action.PRUNED,
                context=context,
                now=now,
                using=using,
                keys=keys,
                logins=logins,
                events=events,
                **more,
            )
    return Pruned(keys, logins, codes, tickets, events, addresses, run.is_done)


class _Run:
    """One run, within its bounds."""

    def __init__(
        self, limit: int | None, duration: timedelta | None, progress: Progress | None
    ) -> None:
        self.is_done = True
        self._left = limit
        self._end = None if duration is None else time.monotonic() + duration.total_seconds()
        self._progress = progress
        self._size = BATCH

    def delete(self, what: str, rows: QuerySet[Any]) -> int:
        """Delete ``rows``, as :meth:`each`."""
        return self.each(what, rows, delete)

    def each(
        self, what: str, rows: QuerySet[Any], act: Callable[[QuerySet[Any], list[Any]], int]
    ) -> int:
        """Do it to ``rows`` in batches, each beginning after the last one, and say to how many.

        The rows that stay are passed once, and not once a batch.
        """
        done, every = 0, rows.order_by("pk").values_list("pk", flat=True)
        rest = every
        while keys := list(rest[: self._next_size()]):
            if self._is_over():
                self.is_done = False
                break
            began = time.monotonic()
            done += act(rows, keys)
            self._size = _adapted(self._size, time.monotonic() - began)
            self._left = None if self._left is None else self._left - len(keys)
            if self._progress is not None:
                self._progress(what, done)
            rest = every.filter(pk__gt=keys[-1])
        return done

    def _next_size(self) -> int:
        return self._size if self._left is None else min(self._size, self._left) or 1

    def _is_over(self) -> bool:
        is_late = self._end is not None and time.monotonic() >= self._end
        return is_late or self._left == 0


def _adapted(size: int, seconds: float) -> int:
    """A batch that took too long is halved; one that took little is doubled, up to ``BATCH``."""
    if seconds > SECONDS_A_BATCH:
        return max(1, size // 2)
    return min(BATCH, size * 2) if seconds < SECONDS_A_BATCH / 2 else size
