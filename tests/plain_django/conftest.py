"""A sync and an async browser of the same host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.signals import request_finished
from django.test import AsyncClient, Client

from pikku_auth.flows import last_used

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_is_written_afterwards() -> Iterator[None]:
    """Django's ``AsyncClient`` ends a request in a thread that SQLite locks out of the test's."""
    uid = "pikku_auth.flush_usage"
    request_finished.disconnect(dispatch_uid=uid)
    yield
    request_finished.connect(last_used.flush, dispatch_uid=uid)


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest, settings: Any) -> Ask:
    """``ask(path, method="get", client=…, **headers)``: a request through WSGI and ASGI."""
    settings.ROOT_URLCONF = "tests.plain_django.urls"

    def go(path: str, *, method: str = "get", cookies: Any = None, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if request.param == "wsgi":
            client = Client(enforce_csrf_checks=True)
            client.cookies = cookies or client.cookies
            return getattr(client, method)(path, headers=given)

        async def asynchronously() -> Any:
            client = AsyncClient(enforce_csrf_checks=True)
            client.cookies = cookies or client.cookies
            return await getattr(client, method)(path, headers=given)

        return async_to_sync(asynchronously)()

    return go
