"""Telling open sockets, wherever they are, to look again at who opened them.

A nudge goes over the host's channel layer to every process. It says nothing but where to look:
the verdict is the database's. One that is lost costs time, until the next periodic look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, Self

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import Signal

from pikku_auth import signals
from pikku_auth.flows.database import primary
from pikku_auth.flows.tickets import session_digest
from pikku_auth.principal import Principal

logger = logging.getLogger("pikku_auth")

_SECONDS_TO_TELL = 1
_SECONDS_OF_FIRST_PAUSE = 0.5
_SECONDS_OF_A_LONG_READ = 1
_TIMES = 2
"""Redis's layer may lose what a socket of the same process was about to receive for all when it
was closed. Its second copy is not lost with it, and costs one look more."""
_SECONDS_OF_MEMBERSHIP = 3600
"""Layers forget who is in a group, Redis's after a day; so we join again every hour."""


class Nudges:
    """What is told to one socket, from ``async with`` on; nothing without a channel layer."""

    def __init__(self, principal: Principal) -> None:
        self._groups = [_group(kind, name) for kind, name in _subjects(principal)]
        self._layer: Any = get_channel_layer()
        self._channel = ""
        self._joined_at = 0.0

    @property
    def are_heard(self) -> bool:
        """Whether a nudge would arrive."""
        return bool(self._channel)

    async def __aenter__(self) -> Self:
        if self._layer is not None:
            await self._join()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._channel:
            with suppress(Exception):  # the layer forgets it by itself
                for group in self._groups:
                    await self._layer.group_discard(group, self._channel)

    async def wait(self, seconds: float) -> None:
        """Return at a nudge, or after so many seconds."""
        if not seconds:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if not self._channel:
                    await asyncio.sleep(seconds)
                if time.monotonic() - self._joined_at > _SECONDS_OF_MEMBERSHIP:
                    await self._join()
                await self._listen()

    async def _listen(self) -> None:
        pause = _SECONDS_OF_FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._layer.receive(self._channel)
            except Exception as error:  # noqa: BLE001  # of whatever layer it is
                logger.warning("A socket can't be told of revocations now: %r", error)
            else:
                return
            # Some give up a read that takes long, where nothing is wrong: ask again at once.
            if time.monotonic() - began < _SECONDS_OF_A_LONG_READ:
                await asyncio.sleep(pause)
                pause *= 2

    async def _join(self) -> None:
        try:
            channel = self._channel or await self._layer.new_channel()
            for group in self._groups:
                await self._layer.group_add(group, channel)
        except Exception as error:  # noqa: BLE001  # of whatever layer it is
            logger.warning("A socket will not be told of revocations: %r", error)
        else:
            self._channel = channel
            self._joined_at = time.monotonic()


def connect() -> None:
    """Nudge whenever a credential may have ended."""
    for signal, receiver in _receivers():
        signal.connect(receiver, dispatch_uid="pikku_auth.nudge")
    for of_model in (post_save, post_delete):
        of_model.connect(
            _user_changed, sender=settings.AUTH_USER_MODEL, dispatch_uid="pikku_auth.nudge"
        )


def _receivers() -> Iterator[tuple[Signal, Any]]:
    for signal in (signals.key_revoked, signals.key_disabled, signals.key_rotated):
        yield signal, _key_ended
    yield signals.login_revoked, _login_ended
    yield signals.service_user_deactivated, _service_user_stopped
    yield user_logged_out, _session_ended


def _key_ended(*, key: Any, **_: object) -> None:
    _nudge("key", key.pk)


def _login_ended(*, login: Any, **_: object) -> None:
    _nudge("login", login.pk)


def _service_user_stopped(*, service_user: Any, **_: object) -> None:
    _nudge("service_user", service_user.pk)


def _session_ended(*, request: Any = None, **_: object) -> None:
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        _nudge_on_commit("session", session_digest(session))


def _user_changed(*, instance: Any, update_fields: Any = None, **_: object) -> None:
    # Signing in changes that one, and nothing that we look at.
    if update_fields is None or set(update_fields) != {"last_login"}:
        _nudge_on_commit("user", instance.pk)


def _nudge_on_commit(kind: str, name: Any) -> None:
    transaction.on_commit(partial(_nudge, kind, name), using=primary(), robust=True)


def _nudge(kind: str, name: Any) -> None:
    layer: Any = get_channel_layer()
    if layer is not None:
        async_to_sync(_tell)(layer, _group(kind, name))


async def _tell(layer: Any, group: str) -> None:
    try:
        async with asyncio.timeout(_SECONDS_TO_TELL):
            for _ in range(_TIMES):
                await layer.group_send(group, {"type": "pikku_auth.look_again"})
    except Exception as error:  # noqa: BLE001  # of whatever layer it is
        logger.warning("Open sockets were not told of a change: %r", error)


def _subjects(principal: Principal) -> Iterator[tuple[str, Any]]:
    """What a principal stands and falls with."""
    yield "user", principal.user.pk
    if principal.key is not None:
        yield "key", principal.key.pk
        yield "service_user", principal.key.service_user_id
    if principal.login is not None:
        yield "login", principal.login.pk
    if principal.ticket is not None:
        yield "session", principal.ticket.session_digest


def _group(kind: str, name: Any) -> str:
    """A name that every layer takes, whatever the host's primary keys look like."""
    return f"pikku_auth.{kind}.{sha256(str(name).encode()).hexdigest()[:32]}"
