"""Every integration, asked in the same way: ``ask(headers)`` gives a :class:`Decision`.

The sync ones are asked through WSGI, where a server joins repeated headers by a comma, the async
ones through ASGI, which hands them on as they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.test import Client, override_settings

from pikku_auth.contrib.channels import PikkuChannelsMiddleware
from pikku_auth.decorators import any_key
from tests.integrations.decision import CRASH, Decision, decision_of
from tests.integrations.urls import WANTED, Telling
from tests.sockets.wire import Application, calling, scope_of

Headers = Sequence[tuple[str, str]]
Integration = Callable[[Headers], Decision]

MIDDLEWARE = "pikku_auth.middleware.PikkuAuthMiddleware"


def joined(headers: Headers) -> dict[str, str]:
    """As WSGI's servers do it."""
    together: dict[str, list[str]] = {}
    for name, value in headers:
        together.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in together.items()}


def http_decision(status: int, body: bytes, headers: Mapping[str, str]) -> Decision:
    return CRASH if status == 500 else decision_of(status, json.loads(body), headers)


def over_wsgi(path: str, *, middleware: bool = False) -> Integration:
    def ask(headers: Headers) -> Decision:
        with host(middleware=middleware):
            client = Client(enforce_csrf_checks=True, raise_request_exception=False)
            answer = client.get(path, headers=joined(headers))
        return http_decision(answer.status_code, answer.content, answer.headers)

    return ask


def over_asgi(path: str, *, middleware: bool = False) -> Integration:
    async def go(headers: Headers) -> Decision:
        scope = scope_of(headers, type="http", method="GET", scheme="http", path=path)
        application = Application(ASGIHandler(), scope)
        await application.told.put({"type": "http.request", "body": b""})
        start, body = await application.next(), await application.next()
        await application.end()
        told = {name.decode(): value.decode() for name, value in start["headers"]}
        return http_decision(start["status"], body["body"], told)

    def ask(headers: Headers) -> Decision:
        with host(middleware=middleware):
            return async_to_sync(go)(headers)

    return ask


def over_websocket(scopes: Sequence[str] | None = (), consumer: Any = None) -> Integration:
    consumer = consumer or Telling.as_asgi()
    app = PikkuChannelsMiddleware(consumer, allow_anonymous=True, scopes=scopes)

    async def go(headers: Headers) -> Decision:
        # Whoever has a cookie is a browser, and says where it is.
        origin = [("Origin", "http://testserver")] if "Cookie" in dict(headers) else []
        async with calling(app, [*headers, *origin]) as call:
            if not call.opened:
                return decision_of(call.status or 0, call.body, call.headers)
            told = await call.says()
            await call.hang_up()
            return decision_of(200, told, {})

    return async_to_sync(go)


def host(*, middleware: bool) -> override_settings:
    """A host with the views of this suite."""
    others = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    return override_settings(
        ROOT_URLCONF="tests.integrations.urls",
        MIDDLEWARE=[*others, MIDDLEWARE] if middleware else others,
    )


HTTP_INTEGRATIONS: dict[str, Integration] = {
    "REST framework": over_wsgi("/drf/"),
    "REST framework, under ASGI": over_asgi("/drf/"),
    "REST framework behind the middleware": over_wsgi("/drf/", middleware=True),
    "the middleware": over_wsgi("/known/", middleware=True),
    "the async middleware": over_asgi("/aknown/", middleware=True),
    "the decorator": over_wsgi("/wanted/"),
    "the async decorator": over_asgi("/awanted/"),
    "ninja": over_wsgi("/ninja/sync/"),
    "async ninja": over_asgi("/ninja/async/"),
    "ninja behind the middleware": over_asgi("/ninja/sync/", middleware=True),
}
INTEGRATIONS: dict[str, Integration] = {**HTTP_INTEGRATIONS, "Channels": over_websocket()}

SCOPED_INTEGRATIONS: dict[str, Integration] = {
    "REST framework": over_wsgi("/drf/scoped/"),
    "the decorator": over_wsgi("/wanted/scoped/"),
    "the async decorator": over_asgi("/awanted/scoped/"),
    "ninja": over_wsgi("/ninja/scoped/sync/"),
    "async ninja": over_asgi("/ninja/scoped/async/"),
    "Channels": over_websocket([WANTED]),
}
"""Those that can want a scope."""

UNSCOPED_INTEGRATIONS: dict[str, Integration] = {
    "REST framework": over_wsgi("/drf/people/"),
    "REST framework behind the middleware": over_wsgi("/drf/people/", middleware=True),
    "ninja": over_wsgi("/ninja/people/sync/"),
    "async ninja": over_asgi("/ninja/people/async/"),
    "ninja behind the middleware": over_asgi("/ninja/people/sync/", middleware=True),
    "Channels": over_websocket(None),
}
"""Those that demand nothing, and so refuse a credential with scopes."""

BLIND_INTEGRATIONS: dict[str, Integration] = {
    "the middleware": over_wsgi("/unmarked/", middleware=True),
    "the async middleware": over_asgi("/aunmarked/", middleware=True),
}
"""Those that let everybody in, and so don't see who has a credential with scopes."""

MARKED_INTEGRATIONS: dict[str, Integration] = {
    "REST framework": over_wsgi("/drf/people/marked/"),
    "the middleware": over_wsgi("/known/", middleware=True),
    "the async middleware": over_asgi("/aknown/", middleware=True),
    "ninja": over_wsgi("/ninja/people/marked/"),
    "ninja, which names no scope on purpose": over_wsgi("/ninja/sync/"),
    "Channels": over_websocket(None, any_key(type("Marked", (Telling,), {})).as_asgi()),
    "Channels, marked where it is routed": over_websocket(None, any_key(Telling.as_asgi())),
    "Channels, which names no scope on purpose": over_websocket([]),
}
"""Those that are marked with ``any_key``, or name an empty list of scopes."""
