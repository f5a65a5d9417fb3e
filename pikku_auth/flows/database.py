"""Which database is asked, and how to act outside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db import OperationalError, ProgrammingError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from pikku_auth.models import APIKey

_SECOND = "_pikku_auth_second"


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
    first (or lent by its pool), and closed with it. Without a transaction this does nothing.
    """
    caller = connections[using]
    if not in_transaction(caller):
        yield
        return
    second = getattr(caller, _SECOND, None) or _give_second(caller)
    connections[using] = second
    try:
        yield
    finally:
        connections[using] = caller
        second.close_if_unusable_or_obsolete()


@contextmanager
def reading_for_update(using: str) -> Iterator[None]:
    """Read such that :func:`outside_transaction` can write afterwards.

    SQLite locks the whole file: a row read in the caller's transaction would keep our
    own second connection from writing, so there the reading happens outside as well.
    """
    locks_the_file = connections[using].vendor == "sqlite"
    with outside_transaction(using) if locks_the_file else nullcontext():
        yield


@contextmanager
def unless_missing(model: type[Model], using: str) -> Iterator[None]:
    """Do what is inside, or nothing where the table of ``model`` isn't there.

    Before ``migrate``, or in a tenant's schema without our tables, people must still be able to
    sign in. On PostgreSQL a statement that fails ends the transaction, if not for the savepoint.
    """
    connection = connections[using]
    survives_errors = connection.vendor in {"mysql", "oracle", "sqlite"}
    needs_savepoint = connection.in_atomic_block and not survives_errors
    try:
        with transaction.atomic(using=using) if needs_savepoint else nullcontext():
            yield
    except (OperationalError, ProgrammingError):
        if model._meta.db_table in connection.introspection.table_names():
            raise


def _give_second(caller: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Make the second connection of ``caller``, and let it end whenever that one does.

    Django closes what is in ``connections``, where the second is only while it works.
    """
    second, close_caller = connections.create_connection(caller.alias), caller.close
    second.inc_thread_sharing()  # whoever may use the caller's may use its second

    def close_both() -> None:
        try:
            second.close()
        finally:
            close_caller()

    setattr(caller, _SECOND, second)
    caller.close = close_both  # type: ignore[method-assign]  # of this object alone
    return second
