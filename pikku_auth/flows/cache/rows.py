"""What this process has read of credentials, as values: each request gets objects of its own."""

from __future__ import annotations

import logging
import threading
import time
from copy import deepcopy
from datetime import date, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.core.signals import setting_changed
from django.db import connections
from django.db.models import Model

from pikku_auth.conf import conf
from pikku_auth.flows import log, lookup
from pikku_auth.flows.cache import stamps
from pikku_auth.flows.database import Place, has_search_path, in_transaction, place_of
from pikku_auth.models import APIKey

logger = logging.getLogger("pikku_auth")

M = TypeVar("M", bound=Model)

_Place = tuple[type[Model], str, str | None, str]
"""Model, alias, tenant and digest."""

_MOST = 10_000
"""Credentials that a process keeps at most. The one that was read longest ago leaves first."""

_IMMUTABLE = (str, int, float, bytes, NoneType, date, time_of_day, timedelta, Decimal, UUID)


class _Kept(NamedTuple):
    """A credential that this process has met, and its row if that may be used again."""

    names: list[str]
    stamps: list[bytes] | None = None
    row: lookup.Row | None = None
    mutable: tuple[int, ...] = ()
    until: float = 0.0


_kept: dict[_Place, _Kept] = {}
_lock = threading.Lock()
_search_paths: dict[str, set[str | None]] = {}


def find_by_digest(model: type[M], digest: str, *relations: str, using: str) -> M | None:
    """As :func:`pikku_auth.flows.lookup.find_by_digest`, without SQL if ``CACHE`` allows that.

    At first a credential is only met, because its row says which stamps to ask for. The next time
    its row is kept, under the stamps from before it was read. Nothing is kept of a credential
    that doesn't exist, of one whose calls are counted, nor of what a transaction has read.
    """
    if conf.cache is None:
        return lookup.find_by_digest(model, digest, *relations, using=using)
    place = model, using, getattr(connections[using], "schema_name", None), digest
    kept, until = _kept.get(place), time.monotonic() + stamps.LIFETIME.total_seconds()
    current = stamps.read(kept.names) if kept else None
    if kept and kept.row and current == kept.stamps and time.monotonic() < kept.until:
        found: M = _copied(kept.row, kept.mutable).instance()
        return found
    row = lookup.read_row(model, digest, *relations, using=using) if current else None
    anew = row.instance() if row else lookup.find_by_digest(model, digest, *relations, using=using)
    if anew is None or not _may_keep(anew):
        _replace(place, None)
        return anew
    names = stamps.names_of(*_chain(anew, relations))
    if kept is None:
        stamps.set_missing(names)
    own = _own(row) if kept and row and names == kept.names else None
    _replace(place, _Kept(names, current, *own, until) if own else _Kept(names))
    return anew


def _may_keep(found: Model) -> bool:
    if isinstance(found, APIKey) and found.has_limits:
        return False
    place = place_of(found)
    connection = connections[place.alias]
    if in_transaction(connection) or not (connection.in_atomic_block or connection.autocommit):
        return False
    return _is_of_the_one_schema(place)


def _is_of_the_one_schema(place: Place) -> bool:
    """Whether nobody changes ``search_path``, by which memory can't tell tenants apart."""
    if not has_search_path(connections[place.alias]):
        return True
    known = _search_paths.setdefault(place.alias, {place.schema})
    if len(known) == 1 and place.schema not in known:
        known.add(place.schema)
        _kept.clear()
        logger.error(
            "PIKKU_AUTH['CACHE'] is not used: something changes PostgreSQL's search_path.",
            extra=log.fields("cache_unused"),
        )
    return len(known) == 1


def _chain(found: Any, relations: tuple[str, ...]) -> list[Model]:
    """``found``, what came along with it, and the parent of a key."""
    rows: list[Any] = [found]
    for name in relations:
        if (related := getattr(rows[-1], name)) is not None:
            rows.append(related)
    if isinstance(found, APIKey) and found.parent_id is not None:
        rows.append(APIKey(pk=found.parent_id))
    return rows


def _own(row: lookup.Row) -> tuple[lookup.Row, tuple[int, ...]] | None:
    """A copy to keep, and where its values can be changed; ``None`` if they can't be copied."""
    columns = enumerate(row.values)
    mutable = tuple(place for place, value in columns if not isinstance(value, _IMMUTABLE))
    try:
        return _copied(row, mutable), mutable
    except Exception:  # noqa: BLE001  # a field of the host's has whatever values it likes
        return None


def _copied(row: lookup.Row, mutable: tuple[int, ...]) -> lookup.Row:
    """The same values, such that who gets them can't change those of another request."""
    values = list(row.values)
    for place in mutable:
        values[place] = _copy(values[place])
    return lookup.Row(values, row.parts, row.using, row.schema)


def _copy(value: Any) -> Any:
    """As :func:`copy.deepcopy`, and for JSON in a fifth of its time."""
    if type(value) is dict:
        return {name: _copy(member) for name, member in value.items()}
    if type(value) is list:
        return [_copy(member) for member in value]
    return value if isinstance(value, _IMMUTABLE) else deepcopy(value)


def _replace(place: _Place, kept: _Kept | None) -> None:
    with _lock:
        _kept.pop(place, None)
        if kept is None:
            return
        if len(_kept) >= _MOST:
            del _kept[next(iter(_kept))]
        _kept[place] = kept


def read_anew(model: type[Model], digest: str, place: Place) -> None:
    """Have this process read a row anew, whose stamp stays: nothing was decided by what changed."""
    tenant = None if has_search_path(connections[place.alias]) else place.schema
    name = model, place.alias, tenant, digest
    if (kept := _kept.get(name)) is not None:
        _replace(name, _Kept(kept.names))


def clear(**_kwargs: object) -> None:
    """Forget all. Receives ``setting_changed``."""
    _kept.clear()
    _search_paths.clear()


setting_changed.connect(clear)
