"""Asking the database about the caller of an open socket."""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.contrib.channels.database import as_in_a_request
from pikku_auth.flows import arevalidate
from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.database import place_of
from pikku_auth.principal import Principal

_beginning: dict[Any, asyncio.Task[Principal]] = {}


async def look(principal: Principal, request: HttpRequest) -> Principal:
    """``principal`` as it is now.

    :raises Refused: when the credential is not good any more.
    """
    async with as_in_a_request():
        return await arevalidate(principal, request)


def look_with_others(principal: Principal, request: HttpRequest) -> asyncio.Task[Principal]:
    """As :func:`look`, once for all sockets that ask for the same at the same moment.

    Don't share a check that is already running: it may have read the row before the change. A
    mapping sees the request, so with a mapping nothing is shared.
    """
    if conf.map_key is not None or conf.map_login is not None:
        return _remembered(asyncio.ensure_future(look(principal, request)))
    place = place_of(principal.credential)  # rows of two tenants may have the same id
    same = (asyncio.get_running_loop(), place, str(principal), address_of(request))
    if same not in _beginning:
        _beginning[same] = _remembered(asyncio.ensure_future(_begin(same, principal, request)))
    return _beginning[same]


async def _begin(same: Any, principal: Principal, request: HttpRequest) -> Principal:
    await asyncio.sleep(0)  # who was woken together with us comes in
    del _beginning[same]
    return await look(principal, request)


def _remembered(task: asyncio.Task[Principal]) -> asyncio.Task[Principal]:
    """Retrieve the task's error, so that asyncio doesn't warn when the socket has gone."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
