"""Spending a call: the rate limit and the quota of a key, both in one guarded UPDATE.

One statement, because two stores can't be charged together: a call that one of them
refused would have burnt something in the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, Q

from pikku_auth.core.limits import last_refill, seconds_until, window_start
from pikku_auth.exceptions import LimitExceeded
from pikku_auth.models import APIKey

COUNTERS = ["window_started_at", "window_calls", "remaining", "refilled_at"]

_Step = tuple[Q, dict[str, Any]]
_NOTHING: _Step = (Q(), {})


def has_limits(key: APIKey) -> bool:
    """Whether a call of ``key`` has to be counted at all."""
    return key.rate_count is not None or key.remaining is not None


def spend_call(key: APIKey, now: datetime, using: str) -> bool:
    """Count one call. ``False`` if the row has changed under us: read it again.

    The UPDATE holds only while the counters, and the key's being live, are what the
    decision was made from, so that of many at once never one too many gets through.

    :raises LimitExceeded: when a limit is used up. Nothing is counted then.
    """
    rate_guard, rate_change = _rate_step(key, now)
    quota_guard, quota_change = _quota_step(key, now)
    rows = APIKey.objects.using(using).filter(
        rate_guard & quota_guard, pk=key.pk, revoked_at=None, enabled=True
    )
    return bool(rows.update(**rate_change, **quota_change))


def _rate_step(key: APIKey, now: datetime) -> _Step:
    rate = key.rate
    if rate is None:
        return _NOTHING
    start, opened = window_start(now, rate.period), key.window_started_at
    if opened is None or opened < start:
        return Q(window_started_at=opened), {"window_started_at": start, "window_calls": 1}
    if key.window_calls >= rate.count:
        raise LimitExceeded("rate_limited", seconds_until(opened + rate.period, now))
    room = Q(window_started_at=opened, window_calls__lt=rate.count)
    return room, {"window_calls": F("window_calls") + 1}


def _quota_step(key: APIKey, now: datetime) -> _Step:
    if key.remaining is None:
        return _NOTHING
    refill, since = key.refill, key.refilled_at or key.created_at
    if refill is not None:
        due = last_refill(now, since, refill.period)
        if due > since:
            return Q(refilled_at=key.refilled_at), {
                "refilled_at": due,
                "remaining": refill.count - 1,
            }
    if key.remaining == 0:
        wait = seconds_until(since + refill.period, now) if refill else None
        raise LimitExceeded("quota_exhausted", wait)
    return Q(refilled_at=key.refilled_at, remaining__gt=0), {"remaining": F("remaining") - 1}
