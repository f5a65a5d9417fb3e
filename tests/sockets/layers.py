"""Channel layers that are not well."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from channels.layers import InMemoryChannelLayer


async def hang(*_: object, **__: object) -> Any:
    """What a server does that is stopped, and not gone."""
    await asyncio.Event().wait()


class BrokenLayer(InMemoryChannelLayer):
    """A layer whose server has gone."""

    async def group_add(self, group: str, channel: str) -> None:
        raise ConnectionError("gone")

    group_send = group_discard = group_add


class LayerThatDies(InMemoryChannelLayer):
    """A layer whose server goes after the socket has opened."""

    async def receive(self, channel: str) -> Any:
        raise ConnectionError("gone")

    async def group_discard(self, group: str, channel: str) -> None:
        raise ConnectionError("gone")


class LayerThatGivesUp(InMemoryChannelLayer):
    """A layer that waits for a while only, as one does whose client has a timeout."""

    gave_up: ClassVar[int] = 0

    async def receive(self, channel: str) -> Any:
        type(self).gave_up += 1
        await asyncio.sleep(0.001)
        raise TimeoutError
