"""Counting tries exactly: guesses at user codes, codes asked for, tickets issued, keys managed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from pikku_auth.core.limits import Rate, seconds_until
from pikku_auth.core.networks import parse_address
from pikku_auth.exceptions import TooManyAttempts
from pikku_auth.flows.database import primary
from pikku_auth.flows.sweeping import sweep_attempts
from pikku_auth.models import Attempts

WRONG_CODES = Rate(5, timedelta(minutes=10))
"""Wrong user codes per human, and per network for who is not signed in (RFC 8628, 5.1)."""

CODES_ASKED_FOR = Rate(60, timedelta(minutes=10))
"""Device logins that one network may start."""

CLAIMS = Rate(60, timedelta(minutes=10))
"""Device logins that one human may take to decide."""

KEYS_MANAGED = Rate(600, timedelta(minutes=10))
"""Changes of keys over HTTP that one machine or one human may ask for."""

_IPV6_NETWORKS = {48: 10, 56: 2, 64: 1}
"""Prefixes that providers give to one customer, and how many times the limit of a /64 each has.

The widest first: once it is used up, no counters are made for the networks inside.
"""

Limit = tuple[str, Rate]
"""A subject, and how often it may try."""


def spend_attempts(limits: Sequence[Limit], now: datetime) -> None:
    """Count one try of each subject, or of none.

    :raises TooManyAttempts: when the window of one is used up.
    """
    for position, (subject, rate) in enumerate(limits):
        try:
            spend_attempt(subject, rate, now)
        except TooManyAttempts:
            give_back_attempts(limits[:position])
            raise


def spend_attempt(subject: str, rate: Rate, now: datetime) -> None:
    """Count one try of ``subject``: never one too many, however many try at once.

    :raises TooManyAttempts: when its window is used up. Nothing is counted then.
    """
    using, key, end = primary(), _key(subject), now + rate.period
    rows = Attempts.objects.using(using).filter(subject=key)
    if rows.filter(expires_at__lte=now).update(expires_at=end, count=1):
        return
    if rows.filter(count__lt=rate.count).update(count=F("count") + 1):
        return
    if _first_attempt(key, end, using):
        sweep_attempts(now, using)
        return
    if rows.filter(count__lt=rate.count).update(count=F("count") + 1):
        return  # somebody else's first attempt came between
    found = rows.values_list("expires_at", flat=True).first()
    raise TooManyAttempts(seconds_until(found or end, now))


def give_back_attempts(limits: Sequence[Limit]) -> None:
    """Uncount a try that turned out right."""
    for subject, _ in limits:
        rows = Attempts.objects.using(primary()).filter(subject=_key(subject), count__gt=0)
        rows.update(count=F("count") - 1)


def network_limits(what: str, address: str | None, rate: Rate) -> list[Limit]:
    """Limits for the networks of an address. One IPv6 customer has at least 2⁶⁴ addresses.

    Callers without an address share one counter.
    """
    parsed = parse_address(address)
    if not isinstance(parsed, IPv6Address):
        return [(f"{what}:address:{parsed}", rate)]
    return [
        (f"{what}:network:{IPv6Network((parsed, prefix), strict=False)}", _times(rate, factor))
        for prefix, factor in _IPV6_NETWORKS.items()
    ]


def says_who(address: str | None) -> bool:
    """Whether ``address`` tells callers apart.

    A Unix socket has none, and a loopback address is mostly a proxy on the same machine: a
    limit on either would be one for the whole site, which one stranger could use up.
    """
    parsed = parse_address(address)
    return parsed is not None and not parsed.is_loopback


def _times(rate: Rate, factor: int) -> Rate:
    return Rate(rate.count * factor, rate.period)


def _first_attempt(key: str, end: datetime, using: str) -> bool:
    try:
        with transaction.atomic(using=using):
            Attempts.objects.using(using).create(subject=key, expires_at=end, count=1)
    except IntegrityError:
        return False
    return True


def _key(subject: str) -> str:
    """Addresses and user ids stay out of the table."""
    return salted_hmac("pikku_auth.attempts", subject, algorithm="sha256").hexdigest()
