"""Notify every process with open sockets that a credential may have ended.

A notification goes over the host's channel layer. It says nothing but where to look: the verdict
is the database's. One that is lost costs time, until the next periodic look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connections, transaction
from django.db.models.signals import post_delete, post_save

from pikku_auth.contrib.channels.topics import GROUP, subject
from pikku_auth.flows import log
from pikku_auth.flows.accounts import is_sign_in, user_models
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import children_changed
from pikku_auth.flows.tickets import session_ended
from pikku_auth.models import AuditEvent

logger = logging.getLogger("pikku_auth")

_SECONDS_TO_TELL = 1
_SECONDS_OF_SILENCE = 10
_TIMES = 2
"""Redis's layer may lose what a process was about to receive when one of its sockets closes.
The second copy is not lost with it, and costs one look more."""

_Action = AuditEvent.Action
_KEY_LOSES = {
    _Action.KEY_REVOKED,
    _Action.KEY_DISABLED,
    _Action.KEY_ROTATED,
    _Action.KEY_BOUNDS_SET,
}
_SERVICE_USER_LOSES = {_Action.SERVICE_USER_DEACTIVATED, _Action.SERVICE_USER_SCOPES_SET}


class _Batch(set[str]):
    """The changes of a transaction. Changes that were rolled back cost a check, and no more."""

    def tell(self) -> None:
        """Send all changes at once: the other hooks of the transaction find none left."""
        if self:
            about = sorted(self)
            self.clear()
            _notify(about)


_batches: WeakKeyDictionary[Any, _Batch] = WeakKeyDictionary()
"""By connection, which is a thread's own."""

_telling: set[asyncio.Task[None]] = set()


class _Silence:
    """Circuit breaker: after a failed send, skip notifications for ten seconds."""

    until = 0.0


def connect() -> None:
    """Notify whenever a credential may have ended."""
    uid = "pikku_auth.notify"
    post_save.connect(_written_down, sender=AuditEvent, dispatch_uid=uid)
    session_ended.connect(_session_ended, dispatch_uid=uid)
    children_changed.connect(_children_changed, dispatch_uid=uid)
    # Not from any sender: with a receiver of its deletions no model is deleted fast.
    for model in user_models():
        post_save.connect(_user_saved, sender=model, dispatch_uid=uid)
        post_delete.connect(_user_deleted, sender=model, dispatch_uid=uid)


def _written_down(*, instance: AuditEvent, using: str, **_: object) -> None:
    """Every action that ends a credential writes an audit event in its transaction."""
    if instance.action in _KEY_LOSES:
        _note("key", instance.key_id, using)
    elif instance.action == _Action.LOGIN_REVOKED:
        _note("login", instance.login_id, using)
    elif instance.action in _SERVICE_USER_LOSES:
        _note("service_user", instance.service_user_id, using)


def _children_changed(*, parents: list[int], **_: object) -> None:
    for pk in parents:
        _note("key", pk, primary())


def _session_ended(*, session_digest: str, **_: object) -> None:
    _note("session", session_digest, primary())


def _user_saved(
    *, instance: Any, using: str, created: bool = False, update_fields: Any = None, **_: object
) -> None:
    if not (created or is_sign_in(update_fields)):
        _note("user", instance.pk, using)


def _user_deleted(*, instance: Any, using: str, **_: object) -> None:
    _note("user", instance.pk, using)


def _note(kind: str, name: Any, using: str) -> None:
    """Tell it once the transaction has committed, together with what else changes in it.

    Another tenant's row with the same id is looked at again, too, which does no harm.
    """
    batch = _batches.setdefault(connections[using], _Batch())
    batch.add(subject(kind, name))
    transaction.on_commit(batch.tell, using=using, robust=True)


def _notify(about: list[str]) -> None:
    layer: Any = get_channel_layer()
    if layer is None or time.monotonic() < _Silence.until:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(_tell)(layer, about)
    else:
        task = loop.create_task(_tell(layer, about))
        _telling.add(task)
        task.add_done_callback(_telling.discard)


async def _tell(layer: Any, about: list[str]) -> None:
    try:
        async with asyncio.timeout(_SECONDS_TO_TELL):
            for _ in range(_TIMES):
                await layer.group_send(GROUP, {"type": "pikku_auth.look_again", "about": about})
    except Exception as error:  # noqa: BLE001  # of whatever layer it is
        _Silence.until = time.monotonic() + _SECONDS_OF_SILENCE
        logger.warning(
            "Open sockets are told of no change for %d s: %r",
            _SECONDS_OF_SILENCE,
            error,
            extra=log.fields("sockets_not_told"),
        )
