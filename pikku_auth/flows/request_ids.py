"""A request with an id is carried out once, however often it is sent.

The id is the caller's: a form's, or the header ``Idempotency-Key``. It is held while the request
runs, and kept with what came of it in the transaction that makes that. So of many at once one
wins; what fails leaves the id free; and what is killed leaves it free a minute later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac

from pikku_auth.exceptions import RequestDiffers, RequestRepeated, RequestRunning
from pikku_auth.flows.database import primary
from pikku_auth.flows.sweeping import sweep_requests
from pikku_auth.models import APIKey, UsedRequest

KEPT_FOR = timedelta(days=1)
_HELD_FOR = timedelta(minutes=1)
_RETRY_AFTER = 1
"""Seconds; a request takes a few hundredths of one."""


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """An id that is held for one request; without one, nothing is kept."""

    digest: str
    held_until: datetime

    def made(self, key: APIKey) -> None:
        """Keep what came of it. Call it in the transaction that makes ``key``.

        :raises RequestRunning: when it took so long that another request has the id now.
        """
        if self.digest and not _mine(self).update(key=key):
            raise RequestRunning(_RETRY_AFTER)


@contextmanager
def once(caller: str, request_id: str | None, body: str, now: datetime) -> Iterator[HeldRequest]:
    """Hold an id of ``caller`` while what is inside runs, in a transaction.

    ``body`` is what was asked for. Without an id there is nothing to hold, and no transaction.

    :raises RequestRepeated: when it was carried out before.
    :raises RequestDiffers: when that was another body.
    :raises RequestRunning: while it is being carried out.
    """
    if request_id is None:
        yield HeldRequest("", now)
        return
    held = _hold(_digest(caller, request_id), sha256(body.encode()).hexdigest(), now)
    try:
        with transaction.atomic(using=primary()):
            _mine(held).update(held_until=held.held_until)  # SQLite wants it to begin with a write
            yield held
    except BaseException:
        _mine(held).delete()
        raise


def _hold(digest: str, body_digest: str, now: datetime) -> HeldRequest:
    held = HeldRequest(digest, now + _HELD_FOR)
    rows = UsedRequest.objects.using(primary()).filter(digest=digest)
    rows.filter(expires_at__lte=now).delete()
    if _insert(held, body_digest, now):
        sweep_requests(now, primary())
        return held
    found = rows.select_related("key__service_user").first()
    if found is None:
        raise RequestRunning(_RETRY_AFTER)  # it has just failed, in another process
    if not constant_time_compare(found.body_digest, body_digest):
        raise RequestDiffers
    if found.key is not None:
        raise RequestRepeated(found.key)
    left = rows.filter(key=None, held_until=found.held_until, held_until__lte=now)
    if not left.update(held_until=held.held_until):
        raise RequestRunning(_RETRY_AFTER)
    return held


def _insert(held: HeldRequest, body_digest: str, now: datetime) -> bool:
    try:
        with transaction.atomic(using=primary()):
            UsedRequest.objects.using(primary()).create(
                digest=held.digest,
                body_digest=body_digest,
                held_until=held.held_until,
                expires_at=now + KEPT_FOR,
            )
    except IntegrityError:
        return False
    return True


def _mine(held: HeldRequest) -> QuerySet[UsedRequest]:
    rows = UsedRequest.objects.using(primary())
    return rows.filter(digest=held.digest, held_until=held.held_until, key=None)


def _digest(caller: str, request_id: str) -> str:
    return salted_hmac(
        "pikku_auth.request_ids", f"{caller}\n{request_id}", algorithm="sha256"
    ).hexdigest()
