"""Counting tries exactly: guesses at user codes, and codes asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from pikku_auth.core.limits import Rate, seconds_until
from pikku_auth.core.networks import parse_address
from pikku_auth.exceptions import TooManyAttempts
from pikku_auth.flows.database import primary
from pikku_auth.models import Attempts

WRONG_CODES = Rate(5, timedelta(minutes=10))
"""Wrong user codes per human, and per address (RFC 8628, 5.1)."""

CODES_ASKED_FOR = Rate(60, timedelta(minutes=10))
"""Device logins that one address may start."""

_IPV6_SUBSCRIBER = 64


def spend_attempt(subject: str, rate: Rate, now: datetime) -> None:
    """Count one try of ``subject``: never one too many, however many try at once.

    :raises TooManyAttempts: when its window is used up. Nothing is counted then.
    """
    using, key = primary(), _key(subject)
    rows = Attempts.objects.using(using).filter(subject=key)
    stale = rows.filter(window_started_at__lte=now - rate.period)
    if stale.update(window_started_at=now, count=1):
        return
    if rows.filter(count__lt=rate.count).update(count=F("count") + 1):
        return
    if _first_attempt(key, now, using):
        return
    if rows.filter(count__lt=rate.count).update(count=F("count") + 1):
        return  # somebody else's first attempt came between
    started = rows.values_list("window_started_at", flat=True).get()
    raise TooManyAttempts(seconds_until(started + rate.period, now))


def give_back_attempt(subject: str) -> None:
    """Uncount a try that turned out right."""
    rows = Attempts.objects.using(primary()).filter(subject=_key(subject), count__gt=0)
    rows.update(count=F("count") - 1)


def claim_once(subject: str, now: datetime) -> bool:
    """Whether nobody has claimed ``subject`` before. Call it first in the act's transaction.

    Of many at once one wins, and the others wait for how its transaction ends. Remembered for
    a day, after which the rows are pruned.
    """
    return _first_attempt(_key(subject), now, primary())


def address_subject(address: str | None) -> str:
    """Who an address stands for: with IPv6 a /64, of which one subscriber has 2⁶⁴ addresses."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"address:{IPv6Network((parsed, _IPV6_SUBSCRIBER), strict=False)}"
    return f"address:{parsed}"


def _first_attempt(key: str, now: datetime, using: str) -> bool:
    try:
        with transaction.atomic(using=using):
            Attempts.objects.using(using).create(subject=key, window_started_at=now, count=1)
    except IntegrityError:
        return False
    return True


def _key(subject: str) -> str:
    """Addresses and user ids stay out of the table."""
    return salted_hmac("pikku_auth.attempts", subject, algorithm="sha256").hexdigest()
