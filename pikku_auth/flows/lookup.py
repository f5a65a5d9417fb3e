"""Finding a row by its digest: the SELECT that the ORM makes, but made once.

Making it anew each time is most of what a look-up costs. ``_prepare`` asks the ORM's compiler,
which is only partly documented; if that changes, the ORM does the whole work, slower.

On PostgreSQL half of what is left is the planner, which orders joins anew for each request. So
its joins are lateral ones, which leave it nothing to order; and where the host lets psycopg
prepare statements (``OPTIONS["prepare_threshold"]``), this one is prepared.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import django
from django.core.signals import setting_changed
from django.db import Error, NotSupportedError, ProgrammingError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import JSONField, Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from pikku_auth.exceptions import Unavailable
from pikku_auth.flows import log
from pikku_auth.flows.database import (
    SEARCH_PATH,
    has_search_path,
    in_transaction,
    remember_schema,
    schema_of,
)
from pikku_auth.models import APIKey

logger = logging.getLogger("pikku_auth")

M = TypeVar("M", bound=Model)

_JOIN = re.compile(r'(INNER|LEFT OUTER) JOIN ("[^"]+") ON (\("[^()]+"\))')
_LATERAL = r"\1 JOIN LATERAL (SELECT * FROM \2 WHERE \3 OFFSET 0) \2 ON TRUE"
"""``OFFSET 0`` keeps the planner from making a plain join of it."""

_UNPREPARED = "_pikku_auth_unprepared"
_CURSORS = "_pikku_auth_cursors"

_DJANGO = str(Path(django.__file__).parent)
_BACKENDS_OF_DJANGO = {"django.db.backends.postgresql.base", "django.db.backends.sqlite3.base"}


class _Part(NamedTuple):
    """One model's part of a row.

    ``link`` caches its object in the one of the part before, and ``back`` that one in it.
    """

    model: Any
    names: list[str]
    columns: slice
    primary_key: int
    link: Any
    back: Any


_Prepared = tuple[str, list[_Part], list[Any]]
"""The SQL, the parts of its row, and its columns."""

_Conversions = list[tuple[int, Any, list[Any], dict[Any, Callable[[], Any]]]]
"""The place of a column whose value has to be converted, the column, what converts it, and the
values for which that is not asked.
"""

_NULL: dict[Any, Callable[[], Any]] = {None: NoneType}
_EMPTY_JSON: dict[Any, Callable[[], Any]] = {None: NoneType, "{}": dict, "[]": list}

_conversions: WeakKeyDictionary[Any, dict[str, _Conversions]] = WeakKeyDictionary()
"""By connection, because converters are methods of one, and by SQL."""


class Row(NamedTuple):
    """What was read of a credential: values as Python has them, and the schema they are of."""

    values: list[Any]
    parts: list[_Part]
    using: str
    schema: str | None

    def instance(self) -> Any:
        """The objects that the ORM would make of it."""
        found = _build(self.values, self.parts, self.using)
        remember_schema(found, self.schema)
        return found


def find_by_digest(model: type[M], digest: str, *relations: str, using: str) -> M | None:
    """The row of ``model`` with that digest, or ``None``; ``relations`` come along.

    They are the names of foreign keys, each of the model that the one before leads to.
    """
    if _prepare(model, relations, using) is None:
        return _rows(model, relations, using).filter(digest=digest).first()
    row = read_row(model, digest, *relations, using=using)
    found: M | None = None if row is None else row.instance()
    return found


def read_row(model: type[Model], digest: str, *relations: str, using: str) -> Row | None:
    """As :func:`find_by_digest`, before any object is made."""
    prepared = _prepare(model, relations, using)
    if prepared is None:
        return None
    sql, parts, columns = prepared
    connection = connections[using]
    fetched = _fetch(sql, digest, connection)
    if fetched is None:
        return None
    values = list(fetched)
    schema = values.pop(0) if has_search_path(connection) else schema_of(connection)
    for place, column, converters, blanks in _conversions_of(sql, columns, connection):
        value = values[place]
        if blanks and value in blanks:
            values[place] = blanks[value]()
            continue
        for convert in converters:
            value = convert(value, column, connection)
        values[place] = value
    return Row(values, parts, using, schema)


def _fetch(sql: str, digest: str, connection: BaseDatabaseWrapper) -> Any:
    if _is_watched(connection):
        with connection.cursor() as cursor:
            cursor.execute(sql, [digest])
            return cursor.fetchone()
    # What cursor() does, without the layers in which Django counts, logs and rewrites.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    if not _may_prepare(connection):
        return _fetch_directly(sql, digest, connection)
    try:
        return _fetch_directly(sql, digest, connection, is_prepared=True)
    except (NotSupportedError, ProgrammingError) as error:
        # The table of users has got another column, say, so that the plan is good for nothing.
        setattr(connection.connection, _UNPREPARED, True)
        if in_transaction(connection):
            raise Unavailable("the prepared statement failed") from error
        logger.info(
            "Looking a credential up anew without a prepared statement: %s",
            error,
            extra=log.fields("not_prepared"),
        )
    return _fetch_directly(sql, digest, connection)


def _is_watched(connection: Any) -> bool:
    """Whether somebody is to see each statement as Django writes it, or has a say in it.

    A tenant's backend sets the schema with each cursor; debuggers and tracers replace ``cursor``
    or ``execute`` of Django's.
    """
    return (
        type(connection).__module__ not in _BACKENDS_OF_DJANGO
        or "cursor" in vars(connection)
        or connection.execute_wrappers
        or connection.queries_logged
        or not _is_of_django(BaseDatabaseWrapper.cursor)
        or not _is_of_django(CursorWrapper.execute)
    )


def _is_of_django(method: Any) -> bool:
    """Whether nobody has put another function in the place of ``method``."""
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename.startswith(_DJANGO)


def _fetch_directly(sql: str, digest: str, connection: Any, *, is_prepared: bool = False) -> Any:
    with connection.wrap_database_errors:
        if connection.vendor == "sqlite":
            return connection.connection.execute(_in_sqlite(sql), (digest,)).fetchone()
        cursor = _cursor_of(connection, is_prepared=is_prepared)
        cursor.execute(sql, (digest,))
        return cursor.fetchone()


@cache
def _in_sqlite(sql: str) -> str:
    """As its driver wants it, which knows parameters by another mark."""
    return sql.replace("%s", "?").replace("%%", "%")


def _cursor_of(connection: Any, *, is_prepared: bool) -> Any:
    """A cursor that stays as long as the connection, because making it takes a fifth of its use.

    Threads that share a connection get one each, or they would fetch each other's rows.
    """
    make = partial(_preparing_cursor, connection) if is_prepared else connection.create_cursor
    if connection.allow_thread_sharing:
        return make()
    driver, kind = connection.connection, (is_prepared, connection.timezone)
    kept: dict[Any, Any] = getattr(driver, _CURSORS, {})
    if kind not in kept:
        kept[kind] = make()
        with suppress(AttributeError):  # of psycopg2
            setattr(driver, _CURSORS, kept)
    return kept[kind]


def _preparing_cursor(connection: Any) -> Any:
    """A cursor of the kind whose statements psycopg prepares.

    Django makes all be of that kind where ``OPTIONS["server_side_binding"]`` is set.
    """
    from django.db.backends.postgresql.base import ServerBindingCursor

    driver = connection.connection
    before, driver.cursor_factory = driver.cursor_factory, ServerBindingCursor
    try:
        return connection.create_cursor()
    finally:
        driver.cursor_factory = before


def _may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether the host lets psycopg prepare statements here."""
    if connection.settings_dict["OPTIONS"].get("prepare_threshold") is None:
        return False
    driver: Any = connection.connection
    # psycopg2 has no such attribute, and some pools wrap the connection.
    return hasattr(driver, "prepare_threshold") and not getattr(driver, _UNPREPARED, False)


def _build(values: list[Any], parts: list[_Part], using: str) -> Any:
    (model, names, columns, primary_key, _, _), *others = parts
    if values[primary_key] is None:  # an outer join that met no row
        return None
    instance = _instance(model, names, values[columns], using)
    if others:
        related = _build(values, others, using)
        others[0].link(instance, related)
        if related is not None and others[0].back is not None:
            others[0].back(related, instance)
    return instance


def _instance(model: Any, names: list[str], values: list[Any], using: str) -> Any:
    """The object that ``from_db`` would make. Of our models, whose making does nothing else, it
    is made without ``__init__``, which takes as long as the rest of the look-up.
    """
    if not _is_ours(model) or pre_init.has_listeners(model):
        return model.from_db(using, names, values)
    instance = model.__new__(model)
    instance._state = state = ModelState()
    state.db, state.adding = using, False
    vars(instance).update(zip(names, values, strict=True))
    if post_init.has_listeners(model):
        post_init.send(sender=model, instance=instance)
    return instance


@cache
def _prepare(model: type[Model], relations: tuple[str, ...], using: str) -> _Prepared | None:
    try:
        compiler = _rows(model, relations, using).filter(digest="?").query.get_compiler(using)
        sql, params = compiler.as_sql()
        columns: list[Any] = [column for column, _, _ in compiler.select]
        parts = list(_parts(model, relations))
        expected = [field for part in parts for field in part.model._meta.concrete_fields]
        if [column.target for column in columns] != expected or [*params] != ["?"]:
            raise TypeError(f"Another SELECT than expected: {sql}")
        if connections[using].vendor == "postgresql":
            sql = _JOIN.sub(_LATERAL, sql)
        if has_search_path(connections[using]):  # by the way: asking alone would cost as much again
            sql = sql.replace("SELECT ", f"SELECT {SEARCH_PATH}, ", 1)
        _conversions_of(sql, columns, connections[using])
    except Error:  # an outage, which may be over the next time
        raise
    except Exception:
        logger.exception(
            "Looking %s up could not be prepared, and will be slower",
            model._meta.label,
            extra=log.fields("not_prepared"),
        )
        return None
    return sql, parts, columns


def _parts(model: Any, relations: tuple[str, ...]) -> Iterator[_Part]:
    start, link, back = 0, None, None
    for name in (None, *relations):
        if name is not None:
            field = model._meta.get_field(name)
            model, link = field.related_model, field.set_cached_value
            back = field.remote_field.set_cached_value if field.unique else None
        names = [field.attname for field in model._meta.concrete_fields]
        columns = slice(start, start + len(names))
        yield _Part(model, names, columns, start + names.index(model._meta.pk.attname), link, back)
        start = columns.stop


def _conversions_of(sql: str, columns: list[Any], connection: Any) -> _Conversions:
    known = _conversions.setdefault(connection, {})
    if sql not in known:
        found = [(column, _converters(column, connection)) for column in columns]
        known[sql] = [
            (place, column, converters, _blanks_of(column.target))
            for place, (column, converters) in enumerate(found)
            if converters
        ]
    return known[sql]


def _converters(column: Any, connection: Any) -> list[Any]:
    return [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]


def _blanks_of(field: Any) -> dict[Any, Callable[[], Any]]:
    """Values of our columns that are converted so often that it is worth a short way."""
    if not _is_ours(field.model):
        return {}
    return _EMPTY_JSON if isinstance(field, JSONField) else _NULL


def _is_ours(model: type[Model]) -> bool:
    """Whether the model is this app's, whose fields and making have nothing of the host's."""
    return model._meta.app_label == APIKey._meta.app_label


def _rows(model: type[M], relations: tuple[str, ...], using: str) -> QuerySet[M]:
    return model._default_manager.using(using).select_related("__".join(relations) or None)


def _forget(**_kwargs: object) -> None:
    """A test may have changed what gets converted, such as ``USE_TZ``. Receives its signal."""
    _prepare.cache_clear()
    _conversions.clear()


setting_changed.connect(_forget)
