"""A WebSocket client without a network: what a server would tell the application, and hear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync

Headers = Sequence[tuple[str, str]]
SECONDS = 20
"""To wait for what has to come; far more than it takes."""


class Application:
    """An application that runs for one connection.

    Not asgiref's communicator: that one runs it in a context of its own, where the database's
    part would be in another thread than the test's transaction.
    """

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self.sending = self._said.put
        self._running = asyncio.ensure_future(app(scope, self.told.get, self._send))

    async def _send(self, message: Any) -> None:
        await self.sending(message)

    async def next(self) -> Any:
        """What it sends next; it may die instead."""
        saying = asyncio.ensure_future(self._said.get())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({saying, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not saying.done():
            saying.cancel()
            self._running.result()
            return None
        return saying.result()

    async def end(self) -> None:
        """Wait until it has ended by itself; raises what it raises."""
        async with asyncio.timeout(SECONDS):
            await self._running

    async def stop(self) -> None:
        """End it if it hasn't ended."""
        self._running.cancel()
        await asyncio.wait({self._running}, timeout=SECONDS)


def in_time(go: Callable[[], Awaitable[Any]]) -> Any:
    """What it returns; it may not take longer than what has to come takes."""

    async def limited() -> Any:
        async with asyncio.timeout(2 * SECONDS):
            return await go()

    return async_to_sync(limited)()


@dataclass
class Call:
    """One handshake, and the socket if it opened."""

    app: Application = field(repr=False)
    opened: bool = False
    status: int | None = None
    code: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    subprotocol: str | None = None

    async def says(self) -> Any:
        """The next JSON that the server sends."""
        return json.loads((await self.app.next())["text"])

    async def tell(self, content: Any) -> None:
        await self.app.told.put({"type": "websocket.receive", "text": json.dumps(content)})

    async def closed_with(self) -> int:
        """The code that the server closes with."""
        message = await self.app.next()
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        return code

    async def hang_up(self) -> None:
        """The client goes, or has gone, and the application ends."""
        await self.app.told.put({"type": "websocket.disconnect", "code": 1000})
        await self.app.end()


def scope_of(headers: Headers, *, host: str = "testserver", **changes: Any) -> dict[str, Any]:
    """The scope of a handshake with those headers, as a server makes it."""
    raw = [(b"host", host.encode())]
    raw += [(name.lower().encode(), value.encode("latin1")) for name, value in headers]
    offered = [value for name, value in raw if name == b"sec-websocket-protocol"]
    return {
        "type": "websocket",
        "path": "/ws/",
        "raw_path": b"/ws/",
        "root_path": "",
        "scheme": "ws",
        "query_string": b"",
        "headers": raw,
        "client": ("127.0.0.1", 50_000),
        "server": ("testserver", 80),
        "subprotocols": [name.strip() for value in offered for name in value.decode().split(",")],
        "extensions": {"websocket.http.response": {}},
        **changes,
    }


@asynccontextmanager
async def calling(app: Any, headers: Headers = (), **changes: Any) -> AsyncIterator[Call]:
    """Shake hands, and clean up afterwards."""
    application = Application(app, scope_of(headers, **changes))
    try:
        await application.told.put({"type": "websocket.connect"})
        yield await _answer(application)
    finally:
        await application.stop()


async def _answer(application: Application) -> Call:
    message, call = await application.next(), Call(application)
    if message["type"] == "websocket.accept":
        call.opened, call.subprotocol = True, message.get("subprotocol")
    elif message["type"] == "websocket.close":
        call.code = message["code"]
    else:
        call.status = message["status"]
        call.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        call.body = json.loads((await application.next())["body"])
    return call
