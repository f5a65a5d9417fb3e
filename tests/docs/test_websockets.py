"""What docs/websockets.md shows, run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from channels_redis.core import RedisChannelLayer

from pikku_auth.flows import IssuedKey, revoke_key
from tests.client.test_websockets import SocketServer
from tests.docs.pages import names_of
from tests.sockets.wire import Headers, calling

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's examples define."""
    return names_of("websockets.md")


def first_of(app: Any, path: str, headers: Headers) -> Any:
    async def go() -> Any:
        async with calling(app, headers, path=path) as call:
            if not call.opened:
                return call.status
            first = await call.says()
            await call.hang_up()
            return first

    return async_to_sync(go)()


def test_the_application_is_as_it_says(names: dict[str, Any], mint: Mint) -> None:
    issued = mint(scopes=["sandbox:read"])
    headers = [("x-api-key", issued.secret.reveal())]
    user: Any = issued.key.service_user.user
    app = names["application"]
    assert first_of(app, "/ws/events/", headers) == {"hello": user.get_username()}
    assert first_of(app, "/ws/sandboxes/", headers) == 403
    assert first_of(app, "/ws/events/", []) == 401


def test_a_program_hears_the_first_event(names: dict[str, Any], key: str) -> None:
    with SocketServer() as server:
        assert asyncio.run(names["first_event"](server.url)) == "hello"
    assert server.seen[0]["x-api-key"] == key


def test_a_careful_consumer_notices(names: dict[str, Any], mint: Mint) -> None:
    issued = mint(scopes=["sandbox:write"])
    app = names["PikkuChannelsMiddleware"](names["Careful"].as_asgi())

    async def go() -> list[Any]:
        async with calling(app, [("x-api-key", issued.secret.reveal())]) as call:
            await call.tell({})
            before = await call.says()
            await sync_to_async(revoke_key)(issued.key)
            await call.tell({})
            after = await call.says()
            await call.hang_up()
            return [before, after]

    assert async_to_sync(go)() == [{"done_by": "api_key"}, {"error": "Invalid API key."}]


def test_the_channel_layer_is_one_that_exists(names: dict[str, Any], settings: Any) -> None:
    settings.CHANNEL_LAYERS = names["CHANNEL_LAYERS"]
    assert isinstance(get_channel_layer(), RedisChannelLayer)
