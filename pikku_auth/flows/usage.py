"""When and from where a credential was last used: written after the response.

In the request it would cost a write per call, hold the row while the view runs, and
be undone with the view. So a call only notes the key here, at most once per resolution
interval, and ``request_finished`` writes what was noted. Losing a note on SIGKILL
loses at most an interval of precision.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Q

from pikku_auth.conf import conf
from pikku_auth.flows.database import in_transaction, primary
from pikku_auth.models import APIKey, LoginSession

logger = logging.getLogger("pikku_auth")

_MOST_NOTED = 10_000
_noted: dict[tuple[type[APIKey | LoginSession], int], tuple[datetime, str | None]] = {}
_renewed: dict[int, datetime] = {}
_lock = threading.Lock()


def note(credential: APIKey | LoginSession, now: datetime, ip: str | None) -> None:
    """Remember that ``credential`` was used from ``ip``, unless the row is recent enough."""
    last = credential.last_used_at
    if last is None or now - last >= conf.last_used_resolution:
        with _lock:
            if len(_noted) < _MOST_NOTED:
                _noted[type(credential), credential.pk] = now, ip


def note_renewal(login: LoginSession, now: datetime) -> None:
    """Remember that the end of ``login`` moves on from ``now``."""
    with _lock:
        _renewed[login.pk] = now


def flush_outside_transaction() -> None:
    """Write what was noted, unless a transaction is open; then the request's end will."""
    if (_noted or _renewed) and not in_transaction(connections[primary()]):
        flush()


def flush(**_kwargs: object) -> None:
    """Write what was noted: forward only, never raising. Receives ``request_finished``."""
    with _lock:
        noted, renewed = dict(_noted), dict(_renewed)
        _noted.clear()
        _renewed.clear()
    if not noted and not renewed:
        return
    using = primary()
    try:
        for (model, pk), (now, ip) in noted.items():
            older = Q(last_used_at=None) | Q(last_used_at__lt=now)
            rows = model._default_manager.using(using).filter(older, pk=pk)
            rows.update(last_used_at=now, last_used_ip=ip)
        for pk, now in renewed.items():
            renew(pk, now, using)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("last_used_at of %d rows was not written: %s", len(noted), error)
    if not connections[using].in_atomic_block:
        # Django has closed the request's connections before us, and we may have opened one.
        connections[using].close_if_unusable_or_obsolete()


def renew(pk: int, now: datetime, using: str) -> None:
    """Move the end of a login on, unless it is over or somebody has moved it further."""
    rows = LoginSession.objects.using(using).filter(
        pk=pk, revoked_at=None, expires_at__gt=now, renewed_at__lt=now
    )
    rows.update(renewed_at=now, expires_at=now + conf.login_lifetime)
