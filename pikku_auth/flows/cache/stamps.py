"""Stamps in Redis: random bytes that change with the row they stand for.

They are compared and never read: nothing is unpickled, and whoever writes to Redis can make a
process ask the database again, and no more. They are random and not counted, because a counter
would begin anew after ``FLUSHALL``, and come back to a number that was seen before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from pikku_auth.conf import conf
from pikku_auth.flows import log

logger = logging.getLogger("pikku_auth")

LIFETIME = timedelta(seconds=30)
"""How long a process goes by what it has read, whatever the stamps say."""

UID = "pikku_auth.change_stamp"

_LENGTH = 16
_KEPT_FOR = timedelta(minutes=5)
_TIMEOUT = 0.1
"""Seconds that Redis may take to answer."""

_PAUSE = {"read": 1.0, "write": 0.25}
"""Seconds in which Redis is not asked again after it has failed, which takes a time-out."""

_is_paused_until = {"read": 0.0, "write": 0.0}


def names_of(*rows: Model) -> list[str]:
    """What the stamps of ``rows`` are called; nobody can tell from it whose they are."""
    return [_name(row) for row in rows]


def _name(row: Model) -> str:
    # The parent's row of a user model that inherits is saved on its own, too.
    table = [type(row), *row._meta.get_parent_list()][-1]._meta.db_table
    digest = sha256(f"{table}:{row.pk}".encode()).hexdigest()
    name: str = caches[conf.cache or ""].make_key(f"pikku_auth.{digest[:32]}")
    return name


def read(names: list[str]) -> list[bytes] | None:
    """The stamps of these names; ``None`` if one is missing, or Redis doesn't answer."""
    stamps = _ask("read", lambda: client(conf.cache).execute_command("MGET", *names))
    if stamps is None:
        return None
    wrong = [name for name, stamp in zip(names, stamps, strict=True) if not _is_stamp(stamp)]
    if not wrong:
        return list(stamps)
    _ask("read", lambda: _set(wrong))
    return None


def _is_stamp(stamp: object) -> bool:
    return isinstance(stamp, bytes) and len(stamp) == _LENGTH


def set_missing(names: list[str]) -> None:
    """Give stamps to those that have none."""
    _ask("read", lambda: _set(names, nx=True))


def change(*rows: Model, using: str) -> None:
    """Have every process read ``rows`` anew. Call it in the transaction that changes them.

    The stamps change now and again once it has committed: between the two, a process may read
    what was there before, and a process that is killed between them leaves hardly anything to go
    by. If Redis doesn't answer, the change stands all the same, and the log says from when on it
    holds everywhere.
    """
    if conf.cache is None:
        return
    names = names_of(*rows)
    if connections[using].in_atomic_block:
        _ask("write", lambda: _set(names))
    transaction.on_commit(partial(_change_committed, names), using=using, robust=True)


def _change_committed(names: list[str]) -> None:
    if _ask("write", lambda: _set(names)) is None:
        _is_paused_until["read"] = time.monotonic() + LIFETIME.total_seconds()
        logger.error(
            "The cache %r could not be told of a change. This process goes by it now, and every "
            "other one from %s on.",
            conf.cache,
            (timezone.now() + LIFETIME).isoformat(timespec="seconds"),
            extra=log.fields("cache_not_told"),
        )


def _set(names: list[str], *, nx: bool = False) -> bool:
    for name in names:
        client(conf.cache).set(name, token_bytes(_LENGTH), ex=_KEPT_FOR, nx=nx)
    return True


def _ask(purpose: str, command: Callable[[], Any]) -> Any:
    """What Redis says to ``command``, or ``None`` if it fails, or has just failed."""
    if time.monotonic() < _is_paused_until[purpose]:
        return None
    try:
        return command()
    except Exception as error:  # noqa: BLE001  # no failure of a cache may refuse anybody
        _is_paused_until[purpose] = time.monotonic() + _PAUSE[purpose]
        logger.warning(
            "The cache %r fails, so the database is asked: %s",
            conf.cache,
            error,
            extra=log.fields("cache_failed"),
        )
        return None


@cache
def client(alias: str | None) -> Any:
    """A client of the Redis that ``CACHES[alias]`` names, for raw bytes, that gives up at once.

    :raises ImproperlyConfigured: when that is no Redis of one server.
    """
    backend: Any = caches[alias or ""]
    get_client = getattr(getattr(backend, "client", None), "get_client", None)  # of django-redis
    get_client = get_client or getattr(getattr(backend, "_cache", None), "get_client", None)
    if get_client is None:
        raise ImproperlyConfigured(
            f"{type(backend).__name__} gives no raw access to a Redis server."
        )
    theirs = get_client(write=True)
    pool = getattr(theirs, "connection_pool", None)
    kwargs = dict(getattr(pool, "connection_kwargs", {}))
    if pool is None or "connection_pool" in kwargs:
        raise ImproperlyConfigured(f"{type(theirs).__name__} is no client of one Redis server.")
    from redis import ConnectionPool, Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    ours = {name: kwargs[name] for name in kwargs if not name.startswith(_NOT_OURS)}
    ours |= {"socket_timeout": _TIMEOUT, "retry": Retry(NoBackoff(), 0), "decode_responses": False}
    if "path" not in ours:  # of a Unix socket
        ours["socket_connect_timeout"] = _TIMEOUT
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **ours))


_NOT_OURS = ("maint_notifications", "himport", "orig_", "retry", "event_dispatcher")
"""What redis-py keeps of a pool among the arguments of its connections."""


def connect(models: list[type[Model]]) -> None:
    """Have what is saved or deleted of ``models`` change its stamp, by whomever it is done."""
    if conf.cache is None:
        return  # Django deletes in fewer statements where nobody listens
    for model in models:
        for signal in (post_save, post_delete):
            signal.connect(_change_saved, sender=model, dispatch_uid=UID)


def _change_saved(*, instance: Model, using: str, **_kwargs: object) -> None:
    """Receives ``post_save`` and ``post_delete``."""
    change(instance, using=using)


def _forget(*, setting: str, **_kwargs: object) -> None:
    """Receives ``setting_changed``, which Django's ``override_settings`` sends."""
    if setting in {"CACHES", "PIKKU_AUTH"}:
        client.cache_clear()
        _is_paused_until.update(read=0.0, write=0.0)


setting_changed.connect(_forget)
