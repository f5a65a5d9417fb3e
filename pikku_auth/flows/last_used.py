"""When and from where a credential was last used: written after the response.

In the request it would cost a write per call, hold the row while the view runs, and
be undone with the view. So a call only notes the key here, at most once per resolution
interval, and ``request_finished`` writes what was noted. Losing a note on SIGKILL
loses at most an interval of precision.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from pikku_auth.conf import conf
from pikku_auth.flows import log
from pikku_auth.flows.cache import rows as cached
from pikku_auth.flows.database import Place, in_place, in_transaction, place_of
from pikku_auth.models import APIKey, LoginSession

logger = logging.getLogger("pikku_auth")

RESOLUTION = timedelta(minutes=1)
"""How often ``last_used_at`` of one row is written at most."""

_MOST_NOTED = 10_000


class _Used(NamedTuple):
    """Which row. By where it was read: whose request ends next may be another tenant's."""

    place: Place
    model: type[APIKey | LoginSession]
    pk: int
    digest: str


_noted: dict[_Used, tuple[datetime, str | None]] = {}
_renewed: dict[_Used, tuple[datetime, datetime]] = {}
_converted: dict[_Used, str] = {}
_lock = threading.Lock()


def note(credential: APIKey | LoginSession, now: datetime, ip: str | None) -> None:
    """Remember that ``credential`` was used from ``ip``, unless the row is recent enough."""
    last = credential.last_used_at
    if last is None or now - last >= RESOLUTION:
        with _lock:
            if len(_noted) < _MOST_NOTED:
                _noted[_used(credential)] = now, ip


def note_renewal(login: LoginSession, now: datetime) -> None:
    """Remember that the end of ``login`` moves on, as it is used at ``now``."""
    with _lock:
        _renewed[_used(login)] = now, login.expiry_from(now)


def note_digest(row: APIKey | LoginSession, digest: str) -> None:
    """Remember the SHA-256 of a secret that was imported by its SHA-512."""
    with _lock:
        if len(_converted) < _MOST_NOTED:
            _converted[_used(row)] = digest


def _used(row: APIKey | LoginSession) -> _Used:
    return _Used(place_of(row), type(row), row.pk, row.digest)


def flush_outside_transaction() -> None:
    """Write what was noted, unless a transaction is open; then the request's end will."""
    for place in _places():
        if not in_transaction(connections[place.alias]):
            _write(place)


def flush(**_kwargs: object) -> None:
    """Write what was noted: forward only, never raising. Receives ``request_finished``."""
    for place in _places():
        _write(place)


def _places() -> set[Place]:
    with _lock:
        return {used.place for used in [*_noted, *_renewed, *_converted]}


def _taken(notes: dict[_Used, Any], place: Place) -> dict[_Used, Any]:
    with _lock:
        return {used: notes.pop(used) for used in list(notes) if used.place == place}


def _write(place: Place) -> None:
    """Write what was noted of the rows of one database and schema."""
    noted, renewed = _taken(_noted, place), _taken(_renewed, place)
    converted = _taken(_converted, place)
    using = place.alias
    was_closed = connections[using].connection is None
    try:
        with in_place(place):
            for used, (now, ip) in noted.items():
                due = Q(last_used_at=None) | Q(last_used_at__lte=now - RESOLUTION)
                rows = used.model._default_manager.using(using).filter(due, pk=used.pk)
                _update_unless_locked(rows, last_used_at=now, last_used_ip=ip)
            for used, (now, expires_at) in renewed.items():
                rows = LoginSession.objects.using(using).filter(
                    pk=used.pk,
                    revoked_at=None,
                    expires_at__gt=now,
                    renewed_at__lte=now - conf.login_renewal,
                )
                _update_unless_locked(rows, renewed_at=now, expires_at=expires_at)
            for used, digest in converted.items():
                rows = used.model._default_manager.using(using).filter(pk=used.pk)
                _update_unless_locked(rows.filter(digest=used.digest), digest=digest)
    except (DatabaseError, InterfaceError) as error:
        logger.warning(
            "last_used_at of %d rows was not written: %s",
            len(noted),
            error,
            extra=log.fields("use_not_written"),
        )
    for used in [*noted, *renewed]:
        cached.read_anew(used.model, used.digest, used.place)
    if was_closed and not connections[using].in_atomic_block:
        # Django closes the request's connections before ``request_finished`` gets to us. One that
        # is open is still in use, and may have a tenant's search_path, which closing would reset.
        connections[using].close_if_unusable_or_obsolete()


def _update_unless_locked(rows: QuerySet[Any], **values: Any) -> None:
    """Never wait for a lock: skip a row that is locked. Its next use is noted again.

    Of many processes that find a hot key's use due at once, one writes it.
    """
    connection = connections[rows.db]
    if not connection.features.has_select_for_update_skip_locked:
        with _impatient(connection) if connection.vendor == "sqlite" else nullcontext():
            rows.update(**values)
        return
    with transaction.atomic(using=rows.db):
        if rows.select_for_update(skip_locked=True).values_list("pk", flat=True).first():
            rows.update(**values)


@contextmanager
def _impatient(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Have SQLite, which locks its whole file, refuse at once where it would wait for seconds."""
    connection.ensure_connection()
    driver: Any = connection.connection
    (milliseconds,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
