"""What happens while a socket is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from asgiref.sync import sync_to_async
from django.db import OperationalError

from pikku_auth.contrib.channels import PikkuChannelsMiddleware, open_sockets
from pikku_auth.flows import IssuedKey
from tests.sockets.consumers import WhoAmI
from tests.sockets.wire import SECONDS, Call, Headers, calling, in_time

Scenario = Callable[[Call], Awaitable[Any]]
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=30)

guarded = PikkuChannelsMiddleware(WhoAmI.as_asgi())


def rechecked(every: timedelta) -> Any:
    """Have the callers of open sockets looked at this often, by middleware that does not say."""
    return patch.object(open_sockets, "RECHECK", every)


def during(headers: Headers, scenario: Scenario, app: Any = guarded, **changes: Any) -> Any:
    """Run ``scenario`` while the socket is open; nothing may go on for long afterwards."""

    async def go() -> Any:
        async with calling(app, headers, **changes) as call:
            assert call.opened, call
            await call.says()
            result = await scenario(call)
            await call.hang_up()
        async with asyncio.timeout(SECONDS):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            ours = [task for task in others if "pikku_auth" in repr(task)]
            await asyncio.gather(*ours, return_exceptions=True)
        return result

    return in_time(go)


def in_the_database(act: Callable[..., Any], *args: Any) -> Scenario:
    """Do it while the socket is open, and wait for the close."""

    async def scenario(call: Call) -> int:
        await sync_to_async(act)(*args)
        return await call.closed_with()

    return scenario


async def still_answers(call: Call) -> bool:
    await call.tell("still here?")
    answer: str = await call.says()
    return answer == "still here?"


def key_of(issued: IssuedKey) -> Headers:
    return [("x-api-key", issued.secret.reveal())]


def down(*_: object, **__: object) -> None:
    """What a database does that is down."""
    raise OperationalError("gone")


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it holds."""
    while not condition():
        await asyncio.sleep(0.001)
