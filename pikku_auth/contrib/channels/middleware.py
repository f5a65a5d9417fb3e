"""The middleware: refuses handshakes, and closes sockets whose credential has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from pikku_auth.contrib.channels import open_sockets
from pikku_auth.contrib.channels.handshake import decide, request_of
from pikku_auth.contrib.channels.scope import REQUEST, WANTED, Scope
from pikku_auth.contrib.channels.socket import CLOSE_CODES, Gate, Receive, Send, Socket
from pikku_auth.core.durations import require_positive
from pikku_auth.core.permissions import check_scopes
from pikku_auth.core.websocket_protocol import without_ours
from pikku_auth.exceptions import Refused, UnscopedView
from pikku_auth.http.caller import require
from pikku_auth.http.error_response import response_to
from pikku_auth.http.origins import scheme_and_host
from pikku_auth.http.unscoped_views import MARK
from pikku_auth.principal import Principal

App = Callable[[Scope, Receive, Send], Awaitable[Any]]

_SECONDS_TO_LEAVE = 10
_SECONDS_TO_HANG_UP = 0.05


class PikkuChannelsMiddleware:
    """Lets a WebSocket open only for a caller with a good credential, and as long as it is good.

    ``scope["principal"]`` says who it is, and ``scope["user"]``. Others are refused before the
    socket opens: over HTTP where the server can do that, with the status and the words of every
    other integration, else with 403.

    Put it around everything, and once more around a consumer that wants ``scopes``. A consumer
    for which no middleware names any is closed to keys (``UNSCOPED_VIEWS``) unless it is marked
    with :func:`~pikku_auth.decorators.any_key`; ``scopes=[]`` says the same as the mark.

    With ``allow_anonymous`` a caller *without* a credential is admitted, as ``scope["user"]``; a
    bad credential is refused all the same. ``allowed_origins`` are trusted besides the
    site's own origin and ``CSRF_TRUSTED_ORIGINS``. Every ``recheck`` (half a minute by default) it
    is asked whether the caller of an open socket is still good; that of the outermost counts.

    :raises ValueError: when one of ``scopes`` or ``allowed_origins`` can't be meant, or
        ``recheck`` is no time.
    """

    def __init__(
        self,
        app: App,
        *,
        scopes: Sequence[str] | None = None,
        allow_anonymous: bool = False,
        allowed_origins: Sequence[str] = (),
        recheck: timedelta | float | None = None,
    ) -> None:
        self.names_scopes = scopes is not None
        self.scopes = scopes or ()
        check_scopes(self.scopes)
        _check_origins(allowed_origins)
        self.app = app
        self.allow_anonymous = allow_anonymous
        self.allowed_origins = allowed_origins
        self.recheck = None if recheck is None else require_positive(recheck)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        :raises ValueError: when it is no WebSocket.
        """
        if scope["type"] != "websocket":
            raise ValueError(
                "pikku_auth.contrib.channels.PikkuChannelsMiddleware is for WebSockets: put it "
                'under "websocket" of the ProtocolTypeRouter. For HTTP use another integration.'
            )
        is_inner = REQUEST in scope
        request = scope[REQUEST] if is_inner else request_of(scope)
        try:
            principal = await self._admitted(scope, request, is_inner)
        except Refused as refusal:
            await _refuse(response_to(refusal, request), scope, receive, send)
            return
        if is_inner:
            self._tell(scope)
            await self.app(scope, receive, send)
        else:
            inside = {**_scope_for(principal, scope, request), WANTED: [], MARK: []}
            self._tell(inside)
            try:
                await _serve(self, inside, Socket(scope, receive, send))
            except UnscopedView as refusal:
                await _deny(response_to(refusal, request), scope, send)

    def _tell(self, scope: Scope) -> None:
        scope[WANTED].extend(self.scopes)
        scope[MARK].extend([self] if self.names_scopes else [])

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


async def _serve(middleware: PikkuChannelsMiddleware, scope: Scope, socket: Socket) -> None:
    """Run the application until it ends, or the caller's credential does.

    :raises UnscopedView: when it serves a consumer that is closed to the caller.
    """
    app, principal, request = middleware.app, scope["principal"], scope[REQUEST]
    if principal is None:
        await app(scope, socket.receive, socket.send)
        return
    gate = Gate(scope, socket)
    serving = asyncio.ensure_future(app(scope, gate.receive, gate.send))
    recheck = middleware.recheck or open_sockets.RECHECK
    watching = asyncio.ensure_future(
        open_sockets.until_refused(principal, request, scope[WANTED], recheck)
    )
    try:
        await asyncio.wait({serving, watching, gate.closed}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and not serving.done():
            await socket.close(watching.result())  # or what the host's mapping has raised
            await asyncio.wait({serving}, timeout=_SECONDS_TO_LEAVE)
    finally:
        serving.cancel()
        watching.cancel()
        await asyncio.gather(serving, watching, return_exceptions=True)
    if gate.closed.done():
        raise UnscopedView
    if not serving.cancelled():
        serving.result()


def _check_origins(origins: Sequence[str]) -> None:
    if isinstance(origins, str) or not all(all(scheme_and_host(origin)) for origin in origins):
        raise ValueError(
            f'allowed_origins is {origins!r}: write a list such as ["https://app.example.com"].'
        )


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
    if message["type"] == "websocket.connect":
        await _deny(response, scope, send)


async def _deny(response: HttpResponse, scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        code = CLOSE_CODES + response.status_code
        await send({"type": "websocket.close", "code": code})
        return
    headers = [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.items()
    ]
    start = {"status": response.status_code, "headers": headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": response.content})
    # Uvicorn's default implementation logs an error where the application ends before the
    # connection does: it forgets that it was refused (0.54).
    await asyncio.sleep(_SECONDS_TO_HANG_UP)
