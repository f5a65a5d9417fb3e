"""Which database is asked, and how to act outside the caller's transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from pikku_auth.models import APIKey

_own = threading.local()


def primary() -> str:
    """The alias that writes go to. Reads go there too: a lagging replica revokes late."""
    return router.db_for_write(APIKey)


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether the caller holds a transaction; the one that a ``TestCase`` wraps is none."""
    blocks = connection.atomic_blocks
    return bool(blocks) and not any(getattr(block, "_from_testcase", False) for block in blocks)


@contextmanager
def outside_transaction(using: str) -> Iterator[None]:
    """Let the statements inside commit one by one, whatever the caller's transaction does.

    Under ``ATOMIC_REQUESTS`` a view's rollback would give a spent quota back, and the
    row's lock would last as long as the view. So while the caller is in a transaction
    its thread works on a second connection, kept as long as ``CONN_MAX_AGE`` keeps the
    first (or lent by its pool). Without a transaction this does nothing.
    """
    caller = connections[using]
    if not in_transaction(caller):
        yield
        return
    own = _own_connection(using)
    connections[using] = own
    try:
        yield
    finally:
        connections[using] = caller
        own.close_if_unusable_or_obsolete()


@contextmanager
def reading_for_update(using: str) -> Iterator[None]:
    """Read such that :func:`outside_transaction` can write afterwards.

    SQLite locks the whole file: a row read in the caller's transaction would keep our
    own second connection from writing, so there the reading happens outside as well.
    """
    locks_the_file = connections[using].vendor == "sqlite"
    with outside_transaction(using) if locks_the_file else nullcontext():
        yield


def _own_connection(using: str) -> BaseDatabaseWrapper:
    held: dict[str, BaseDatabaseWrapper] = _own.__dict__.setdefault("connections", {})
    if using not in held:
        held[using] = connections.create_connection(using)
    return held[using]
