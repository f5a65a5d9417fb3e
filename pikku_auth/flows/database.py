"""Which database and schema is asked, and how to act outside the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

from django.db import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Model, QuerySet

from pikku_auth.exceptions import Unavailable
from pikku_auth.flows import log
from pikku_auth.models import APIKey

logger = logging.getLogger("pikku_auth")

_SECOND = "_pikku_auth_second"
_SCHEMA = "pikku_auth_schema"

SEARCH_PATH = "current_setting('search_path')"

_AS_IT_IS = nullcontext()


class Place(NamedTuple):
    """Where a row was read: the alias of a database, and what chose the schema there.

    That is the name of the schema with django-tenants, and PostgreSQL's ``search_path`` without.
    With either, rows of several tenants have the same id. ``None`` stands for whatever is in use.
    """

    alias: str
    schema: str | None = None

    def __str__(self) -> str:
        """A name for keys of a cache."""
        return f"{self.alias}.{crc32(self.schema.encode()):08x}" if self.schema else self.alias


def place_of(row: Model) -> Place:
    """Where ``row`` was read."""
    return Place(row._state.db or primary(), getattr(row._state, _SCHEMA, None))


def remember_schema(row: Model, schema: str | None) -> None:
    """Keep with ``row`` the schema that was in use when it was read."""
    setattr(row._state, _SCHEMA, schema)


def schema_of(connection: BaseDatabaseWrapper) -> str | None:
    """The schema in use; ``None`` where a database has one only."""
    if not has_search_path(connection):
        return getattr(connection, "schema_name", None)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SEARCH_PATH}")
        path: str = cursor.fetchone()[0]
    return path


def has_search_path(connection: BaseDatabaseWrapper) -> bool:
    """Whether the schema is chosen by ``search_path`` alone, and not by django-tenants."""
    return connection.vendor == "postgresql" and not hasattr(connection, "set_schema")


def in_place(place: Place) -> AbstractContextManager[None]:
    """Read and write where a row was read, whichever tenant's schema is in use by now."""
    connection = connections[place.alias]
    if place.schema is None or place.schema == schema_of(connection):
        return _AS_IT_IS
    return _search_path(place) if has_search_path(connection) else _schema(place)


@contextmanager
def _schema(place: Place) -> Iterator[None]:
    connection: Any = connections[place.alias]
    tenant = connection.tenant
    connection.set_schema(place.schema)
    try:
        yield
    finally:
        connection.set_tenant(tenant)


@contextmanager
def _search_path(place: Place) -> Iterator[None]:
    """A transaction, so that a pool of connections, such as PgBouncer's, changes none in it.

    After an error its rollback resets the path.
    """
    before = schema_of(connections[place.alias])
    with transaction.atomic(using=place.alias), connections[place.alias].cursor() as cursor:
        cursor.execute("SELECT set_config('search_path', %s, true)", [place.schema])
        yield
        cursor.execute("SELECT set_config('search_path', %s, true)", [before])


def primary() -> str:
    """The alias that writes go to. Reads go there too: a lagging replica revokes late."""
    return router.db_for_write(APIKey)


def hold(rows: QuerySet[Any], column: str) -> bool:
    """Have nobody change ``rows`` before this commits. ``False`` if there are none.

    It writes ``column`` as it is: databases let one writer in at a time, and SQLite, which knows no
    other lock, wants a transaction to begin with a write.
    """
    return bool(rows.update(**{column: F(column)}))


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether the caller holds a transaction; the one that a ``TestCase`` wraps is none."""
    blocks = connection.atomic_blocks
    return bool(blocks) and not any(getattr(block, "_from_testcase", False) for block in blocks)


def outside_transaction(using: str) -> AbstractContextManager[None]:
    """Let the statements inside commit one by one, whatever the caller's transaction does.

    Under ``ATOMIC_REQUESTS`` a view's rollback would give a spent quota back, and the
    row's lock would last as long as the view. So while the caller is in a transaction
    its thread works on a second connection, kept as long as ``CONN_MAX_AGE`` keeps the
    first (or lent by its pool), and closed with it. Without a transaction this does nothing.
    """
    return _on_second(using) if in_transaction(connections[using]) else _AS_IT_IS


@contextmanager
def _on_second(using: str) -> Iterator[None]:
    caller = connections[using]
    place = Place(using, schema_of(caller))
    second = getattr(caller, _SECOND, None) or _give_second(caller)
    connections[using] = second
    try:
        with in_place(place):
            yield
    finally:
        connections[using] = caller
        second.close_if_unusable_or_obsolete()


def reading_for_update(using: str) -> AbstractContextManager[None]:
    """Read such that :func:`outside_transaction` can write afterwards.

    SQLite locks the whole file: a row read in the caller's transaction would keep our
    own second connection from writing, so there the reading happens outside as well.
    """
    locks_the_file = connections[using].vendor == "sqlite"
    return outside_transaction(using) if locks_the_file else _AS_IT_IS


class _OutageIsNotARefusal:
    """A class, as each request passes it and a generator would cost it ten times as much."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (OperationalError, InterfaceError)):
            logger.error(
                "The database could not be asked about a credential",
                exc_info=error,
                extra=log.fields(Unavailable.code),
            )
            raise Unavailable from None


def outage_is_not_a_refusal() -> _OutageIsNotARefusal:
    """Turn an outage into :class:`~pikku_auth.exceptions.Unavailable`.

    :raises Unavailable: when the database can't be asked.
    """
    return _OUTAGE_IS_NOT_A_REFUSAL


_OUTAGE_IS_NOT_A_REFUSAL = _OutageIsNotARefusal()


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
