"""Deciding whether a key is good: one SELECT, and no write unless it has limits."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.networks import is_allowed
from pikku_auth.core.permissions import missing
from pikku_auth.core.secrets import digest_of
from pikku_auth.exceptions import (
    InsufficientScope,
    InvalidKey,
    NetworkNotAllowed,
    Refused,
    Unavailable,
)
from pikku_auth.flows import judgements, last_used, log
from pikku_auth.flows.cache.rows import find_by_digest
from pikku_auth.flows.database import (
    in_place,
    outage_is_not_a_refusal,
    outside_transaction,
    place_of,
    primary,
    reading_for_update,
)
from pikku_auth.flows.imported import find_imported, imported_digests, note_digest, reread
from pikku_auth.flows.keys import limits
from pikku_auth.models import APIKey, KeyState
from pikku_auth.principal import Principal, bind_user

logger = logging.getLogger("pikku_auth")

_COUNTED_BY_LIMITS = {KeyState.ACTIVE, KeyState.EXHAUSTED}
_LIFE = ["revoked_at", "enabled", "is_suspended"]
_ATTEMPTS = 10


def verify_key(
    secret: str,
    *,
    scopes: Iterable[str] = (),
    ip: str | None = None,
    now: datetime | None = None,
) -> Principal:
    """Verify the plaintext of a key, outside of any HTTP request.

    ``scopes`` must all be allowed; ``ip`` is the caller's address, for keys with allowed
    networks. One call is counted if the key has limits; a refused one never is.

    :raises InvalidKey: when there is no such live key.
    :raises NetworkNotAllowed: when the key may not be used from ``ip``.
    :raises InsufficientScope: when one of ``scopes`` is missing; it names them.
    :raises LimitExceeded: when the rate limit or the quota is used up.
    :raises Unavailable: when the database can't be asked.
    """
    digest, foreign = key_digest(secret), imported_digests(secret)
    del secret  # or a traceback from the database would show it
    return _verify_outside_request(digest, foreign, scopes, ip, now)


async def averify_key(
    secret: str,
    *,
    scopes: Iterable[str] = (),
    ip: str | None = None,
    now: datetime | None = None,
) -> Principal:
    """As :func:`verify_key`. Only the database's part runs in a thread."""
    digest, foreign = key_digest(secret), imported_digests(secret)
    del secret
    return await sync_to_async(_verify_outside_request)(digest, foreign, scopes, ip, now)


def key_digest(text: str) -> str | None:
    """The digest of a presented key, or ``None`` if it can't be one of ours."""
    return digest_of(text, prefix=conf.prefixes.key)


def verify_digest(
    digest: str | None,
    *,
    scopes: Iterable[str] = (),
    ip: str | None = None,
    now: datetime | None = None,
) -> Principal:
    """As :func:`verify_key`, for callers that have the digest; ``None`` is malformed."""
    now = now or timezone.now()
    if digest is None:
        refuse_key(InvalidKey("malformed"), None, ip)
    using = primary()
    with outage_is_not_a_refusal(), reading_for_update(using):
        key = find_by_digest(APIKey, digest, "service_user", "user", using=using)
        if key is None:
            refuse_key(InvalidKey("unknown"), None, ip)
        admit_key(key, scopes, ip=ip, now=now, using=using)
    last_used.note(key, now, ip)
    return principal_of_key(key)


def verify_imported(
    digests: tuple[str, ...],
    *,
    scopes: Iterable[str] = (),
    ip: str | None = None,
    now: datetime | None = None,
) -> Principal:
    """As :func:`verify_key`, for a key of another system, by what that may have kept of it."""
    using, now = primary(), now or timezone.now()
    with outage_is_not_a_refusal(), reading_for_update(using):
        found = find_imported(digests, using=using)
        if found is None:
            refuse_key(InvalidKey("unknown"), None, ip)
        if found.key is None:
            refuse_key(InvalidKey("no_key" if found.login else "deleted"), None, ip)
        admit_key(found.key, scopes, ip=ip, now=now, using=using)
    return principal_of_imported(found.key, digests, ip, now)


def principal_of_imported(
    key: APIKey, digests: tuple[str, ...], ip: str | None, now: datetime
) -> Principal:
    """The principal of an imported key that was found good, whose use is noted."""
    last_used.note(key, now, ip)
    note_digest(key, digests)
    return principal_of_key(key)


def admit_key(
    key: APIKey, scopes: Iterable[str], *, ip: str | None, now: datetime, using: str
) -> None:
    """Count one call of ``key``, if it is good.

    :raises Refused: as :func:`verify_key`.
    """
    try:
        _judge(key, list(scopes), ip, now)
        if key.has_limits:
            _spend(key, ip, now, using)
    except Refused as refusal:
        refuse_key(refusal, key, ip)


def reverify_key(key: APIKey, *, ip: str | None, now: datetime) -> Principal:
    """The principal of a key that was verified before, by its row as it is now.

    Nothing is counted. A used-up quota doesn't end an open connection.

    :raises InvalidKey: when the key is not live any more.
    :raises NetworkNotAllowed: when it may not be used from ``ip``.
    :raises Unavailable: when the database can't be asked.
    """
    place = place_of(key)
    with outage_is_not_a_refusal(), in_place(place):
        row = find_by_digest(APIKey, key.digest, "service_user", "user", using=place.alias)
        row = row or reread(key, "service_user", "user", using=place.alias)
    if row is None:
        raise InvalidKey("unknown")
    _judge(row, [], ip, now)
    return principal_of_key(row)


def examine_digest(digest: str | None, *, ip: str | None, now: datetime) -> APIKey:
    """The key with that digest, if a call from ``ip`` would get through. Nothing is written.

    :raises Refused: as :func:`verify_key`.
    """
    if digest is None:
        refuse_key(InvalidKey("malformed"), None, ip)
    using = primary()
    with outage_is_not_a_refusal(), reading_for_update(using):
        key = find_by_digest(APIKey, digest, "service_user", "user", using=using)
    if key is None:
        refuse_key(InvalidKey("unknown"), None, ip)
    try:
        _judge(key, [], ip, now)
        limits.check_call(key, now)
    except Refused as refusal:
        refuse_key(refusal, key, ip)
    return key


def count_call(key: APIKey, *, ip: str | None, now: datetime) -> None:
    """Count one call of a key that was examined, if it has limits, and note its use.

    :raises Refused: as :func:`verify_key`, when it has ended meanwhile or a limit is used up.
    """
    with outage_is_not_a_refusal():
        try:
            if key.has_limits:
                _spend(key, ip, now, primary())
        except Refused as refusal:
            refuse_key(refusal, key, ip)
    last_used.note(key, now, ip)


def principal_of_key(key: APIKey) -> Principal:
    """The principal of a key that was found good. Wants ``service_user__user`` selected."""
    user: Any = key.service_user.user  # a key whose owner has none is refused before
    permissions = bind_user(user, key.allowed)
    return Principal(user=user, via="api_key", key=key, permissions=permissions)


def _verify_outside_request(
    digest: str | None,
    foreign: tuple[str, ...],
    scopes: Iterable[str],
    ip: str | None,
    now: datetime | None,
) -> Principal:
    try:
        if foreign:
            principal = verify_imported(foreign, scopes=scopes, ip=ip, now=now)
        else:
            principal = verify_digest(digest, scopes=scopes, ip=ip, now=now)
    except Refused as refusal:
        judgements.tell("key", "code", refusal)
        raise
    judgements.tell("key", "code", principal)
    last_used.flush_outside_transaction()
    return principal


def _judge(key: APIKey, scopes: list[str], ip: str | None, now: datetime) -> None:
    state = key.state(now)
    if state not in _COUNTED_BY_LIMITS:
        raise InvalidKey(state.value)
    if key.networks and not is_allowed(ip, key.networks):
        raise NetworkNotAllowed
    if key.parent_networks and not is_allowed(ip, key.parent_networks):
        raise NetworkNotAllowed
    if scopes and (lacking := missing(key.allowed, scopes)):
        raise InsufficientScope(lacking)


def _spend(key: APIKey, ip: str | None, now: datetime, using: str) -> None:
    with outside_transaction(using):
        for _ in range(_ATTEMPTS):
            if limits.spend_call(key, now, using):
                return
            key.refresh_from_db(using=using, fields=[*limits.COUNTERS, *_LIFE])
            _judge(key, [], ip, now)
    raise Unavailable("contended")


def refuse_key(refusal: Refused, key: APIKey | None, ip: str | None) -> NoReturn:
    """Log and signal the precise reason, then raise the public error.

    :raises Refused: ``refusal``.
    """
    level = logging.INFO if key is None else logging.WARNING
    if logger.isEnabledFor(level):  # or strangers could have fields made that nobody reads
        named, said = key or "no such key", log.fields(refusal.reason, key, ip)
        text = "API key refused: %s (%s, from %s)"
        logger.log(level, text, refusal.reason, named, ip, extra=said)
    signals.key_refused.send_robust(sender=APIKey, key=key, reason=refusal.reason, ip=ip)
    raise refusal from None
