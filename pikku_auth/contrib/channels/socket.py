"""A connection whose socket the server can close, and keep from a consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from pikku_auth.contrib.channels.scope import Scope
from pikku_auth.core.websocket_protocol import NAME
from pikku_auth.http.unscoped_views import MARK, is_closed_to

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSE_CODES = 4000
"""And HTTP's status: 4401 for a credential that is not good any more, 4403 for a lost scope."""

_ENDS = {"websocket.close", "websocket.http.response.start"}


class Socket:
    """Wraps send and receive, so that the server can close the socket while a consumer runs."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._offers_ours = NAME in scope.get("subprotocols", ())
        self._receive = receive
        self._send = send
        self._is_over = False
        self._code: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if self._code is not None and message["type"] == "websocket.receive":
            # It was on its way when the socket was closed.
            return {"type": "websocket.disconnect", "code": self._code}
        if message["type"] == "websocket.disconnect":
            self._is_over = True
        return message

    async def send(self, message: Message) -> None:
        if self._code is not None:
            return
        if message["type"] in _ENDS:
            self._is_over = True
        if message["type"] == "websocket.accept" and self._offers_ours:
            # A browser wants one of those it has offered to be taken.
            message = {**message, "subprotocol": message.get("subprotocol") or NAME}
        await self._send(message)

    async def close(self, status: int) -> None:
        """Unless it has been closed: some servers raise at a second time."""
        if self._is_over:
            return
        self._code = CLOSE_CODES + status
        with suppress(OSError):  # it has gone by itself
            await self._send(
                {"type": "websocket.close", "code": self._code, "reason": "Not let in any more"}
            )


class Gate:
    """Holds the application at its first message: by then each middleware around it has run.

    A consumer that is closed to the caller is never told of the connection, only cancelled.
    """

    def __init__(self, scope: Scope, socket: Socket) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._scope = scope
        self._socket = socket

    async def receive(self) -> Message:
        message = await self._socket.receive()
        await self._pass()
        return message

    async def send(self, message: Message) -> None:
        await self._pass()
        await self._socket.send(message)

    async def _pass(self) -> None:
        if self._scope[MARK] or not is_closed_to(self._scope["principal"]):
            return
        with suppress(asyncio.InvalidStateError):  # it is closed already
            self.closed.set_result(None)
        await asyncio.Event().wait()
