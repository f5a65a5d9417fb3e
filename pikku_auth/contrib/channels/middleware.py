"""The middleware itself: who may come in, and who has to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from pikku_auth.admission import require
from pikku_auth.contrib.channels.handshake import Scope, decide, request_of
from pikku_auth.contrib.channels.watch import REQUEST, until_dead
from pikku_auth.core.permissions import parse_scope
from pikku_auth.core.subprotocols import NAME, without_ours
from pikku_auth.exceptions import Refused
from pikku_auth.principal import Principal
from pikku_auth.refusals import response_to

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[Any]]

UNAUTHORIZED = 4401
"""The close code of a socket whose credential is not good any more: 4000 + HTTP's 401."""

_SECONDS_TO_LEAVE = 10


class PikkuAuthMiddleware:
    """Lets a WebSocket open only for a caller with a good credential, and as long as it is good.

    ``scope["principal"]`` says who it is, and ``scope["user"]``. Others are refused before the
    socket opens: over HTTP where the server can do that, with the status and the words of every
    door, else with 403.

    Put it around everything, and once more around a consumer that wants ``scopes``.
    With ``allow_anonymous`` a caller *without* a credential comes in, as whoever ``scope["user"]``
    is; a bad credential is refused all the same. ``allowed_origins`` are trusted besides the
    site's own origin and ``CSRF_TRUSTED_ORIGINS``.

    :raises ValueError: when one of ``scopes`` is not of the grammar.
    """

    def __init__(
        self,
        app: App,
        *,
        scopes: Sequence[str] = (),
        allow_anonymous: bool = False,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        for scope in scopes:
            parse_scope(scope)
        self.app = app
        self.scopes = scopes
        self.allow_anonymous = allow_anonymous
        self.allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        :raises ValueError: when it is no WebSocket.
        """
        if scope["type"] != "websocket":
            raise ValueError(
                "pikku_auth.contrib.channels.PikkuAuthMiddleware is for WebSockets: put it under "
                '"websocket" of the ProtocolTypeRouter. For HTTP there are the other doors.'
            )
        is_inner = REQUEST in scope
        request = scope[REQUEST] if is_inner else request_of(scope)
        try:
            principal = await self._admitted(scope, request, is_inner)
        except Refused as refusal:
            await _refuse(response_to(refusal, request), scope, receive, send)
            return
        if is_inner:
            await self.app(scope, receive, send)
        else:
            socket = _Socket(scope, receive, send)
            await _serve(self.app, _scope_for(principal, scope, request), socket)

    async def _admitted(
        self, scope: Scope, request: HttpRequest, is_inner: bool
    ) -> Principal | None:
        principal: Principal | None
        if is_inner:
            principal = scope["principal"]
        else:
            principal = await decide(request, scope.get("subprotocols", ()), self.allowed_origins)
        if principal is None and self.allow_anonymous and not self.scopes:
            return None
        return require(principal, self.scopes)


class _Socket:
    """The server's side of a connection, which can be closed under the application's feet."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._offers_ours = NAME in scope.get("subprotocols", ())
        self._receive = receive
        self._send = send
        self._is_closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if self._is_closed and message["type"] == "websocket.receive":
            # It was on its way when the socket was closed.
            return {"type": "websocket.disconnect", "code": UNAUTHORIZED}
        return message

    async def send(self, message: Message) -> None:
        if self._is_closed:
            return
        if message["type"] == "websocket.accept" and self._offers_ours:
            # A browser wants one of those it has offered to be taken.
            message = {**message, "subprotocol": message.get("subprotocol") or NAME}
        await self._send(message)

    async def close(self) -> None:
        self._is_closed = True
        with suppress(OSError):  # it has gone by itself
            await self._send(
                {"type": "websocket.close", "code": UNAUTHORIZED, "reason": "Credential is over"}
            )


async def _serve(app: App, scope: Scope, socket: _Socket) -> None:
    """Run the application until it ends, or the caller's credential does."""
    principal, request = scope["principal"], scope[REQUEST]
    if principal is None:
        await app(scope, socket.receive, socket.send)
        return
    serving = asyncio.ensure_future(app(scope, socket.receive, socket.send))
    watching = asyncio.ensure_future(until_dead(principal, request))
    try:
        await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            watching.result()  # or what the host's mapping has raised
            await socket.close()
            await asyncio.wait({serving}, timeout=_SECONDS_TO_LEAVE)
    finally:
        serving.cancel()
        watching.cancel()
        await asyncio.gather(serving, watching, return_exceptions=True)
    if not serving.cancelled():
        serving.result()


def _scope_for(principal: Principal | None, scope: Scope, request: HttpRequest) -> Scope:
    """What the application sees: the caller, and nothing of a ticket."""
    user = scope.get("user", AnonymousUser()) if principal is None else principal.user
    offered = without_ours(scope.get("subprotocols", ()))
    headers = [
        (name, value)
        for name, value in scope.get("headers", ())
        if name != b"sec-websocket-protocol"
    ]
    if offered:
        headers.append((b"sec-websocket-protocol", ", ".join(offered).encode("latin1")))
    return {
        **scope,
        "principal": principal,
        "user": user,
        "subprotocols": offered,
        "headers": headers,
        REQUEST: request,
    }


async def _refuse(response: HttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 4000 + response.status_code})
        return
    headers = [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.items()
    ]
    start = {"status": response.status_code, "headers": headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": response.content})
