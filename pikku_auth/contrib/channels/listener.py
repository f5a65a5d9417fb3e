"""Listen for the notifications of other processes.

One task an event loop listens to the host's channel layer, for all sockets of the process: so a
layer that is slow, full or away holds no socket up, and a process costs it one member of a group.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from pikku_auth.contrib.channels.topics import GROUP
from pikku_auth.flows import log

logger = logging.getLogger("pikku_auth")

_SECONDS_TO_ANSWER = 1
_SECONDS_OF_FIRST_PAUSE = 0.5
_SECONDS_OF_LONGEST_PAUSE = 30
_SECONDS_THAT_WENT_WELL = 2
_SECONDS_OF_MEMBERSHIP = 3600
"""Layers forget who is in a group, Redis's after a day; so we join again every hour."""


class Listener:
    """Wakes those sockets of one event loop that a notification is about."""

    def __init__(self) -> None:
        self._sockets: dict[asyncio.Event, frozenset[str]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._is_joined = False

    @contextmanager
    def listening(self, subjects: frozenset[str]) -> Iterator[asyncio.Event]:
        """What is set whenever one of ``subjects`` may have changed.

        It is set at the beginning, too, or as soon as anything can be heard: what was said before
        that has been missed.
        """
        event = asyncio.Event()
        self._sockets[event] = subjects
        layer = get_channel_layer()
        if layer is not None and self._listening is None:
            self._listening = asyncio.ensure_future(self._listen(layer))
        if self._is_joined:
            event.set()
        try:
            yield event
        finally:
            del self._sockets[event]
            if not self._sockets:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        self._listening = None
        self._is_joined = False

    async def _listen(self, layer: Any) -> None:
        channel, pause = "", _SECONDS_OF_FIRST_PAUSE
        try:
            while True:
                began = time.monotonic()
                try:
                    channel = await _joined(layer, channel)
                    self._is_joined = True
                    self._wake(self._sockets)
                    await self._pass_on(layer, channel)
                except Exception as error:  # noqa: BLE001  # of whatever layer it is
                    logger.warning(
                        "Open sockets can't be told of a change now: %r",
                        error,
                        extra=log.fields("sockets_not_told"),
                    )
                self._is_joined = False
                if time.monotonic() - began > _SECONDS_THAT_WENT_WELL:
                    pause = _SECONDS_OF_FIRST_PAUSE
                else:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _SECONDS_OF_LONGEST_PAUSE)
        finally:
            await _leave(layer, channel)

    async def _pass_on(self, layer: Any, channel: str) -> None:
        """Until it is time to join again, or the layer fails."""
        try:
            async with asyncio.timeout(_SECONDS_OF_MEMBERSHIP) as membership:
                while True:
                    about = frozenset((await layer.receive(channel))["about"])
                    self._wake(event for event, mine in self._sockets.items() if mine & about)
        except TimeoutError:
            if not membership.expired():
                raise

    def _wake(self, sockets: Iterable[asyncio.Event]) -> None:
        for event in sockets:
            event.set()


async def _joined(layer: Any, channel: str) -> str:
    """The channel that is in the group now."""
    async with asyncio.timeout(_SECONDS_TO_ANSWER):
        channel = channel or await layer.new_channel()
        await layer.group_add(GROUP, channel)
    return channel


async def _leave(layer: Any, channel: str) -> None:
    with suppress(Exception):  # the layer forgets it by itself
        async with asyncio.timeout(_SECONDS_TO_ANSWER):
            await layer.group_discard(GROUP, channel)


_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, Listener] = WeakKeyDictionary()


def current_listener() -> Listener:
    """That of the running event loop."""
    return _listeners.setdefault(asyncio.get_running_loop(), Listener())
