"""Watch an open socket: its credential may end after the handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone

from pikku_auth.contrib.channels.listener import current_listener
from pikku_auth.contrib.channels.revalidation import look, look_with_others
from pikku_auth.contrib.channels.scope import REQUEST, Scope
from pikku_auth.contrib.channels.topics import subjects_of
from pikku_auth.exceptions import Refused, Unavailable
from pikku_auth.http.caller import require
from pikku_auth.principal import Principal

RECHECK = timedelta(seconds=30)
"""How often the caller of an open socket is looked at although nobody says that it has changed."""

_SECONDS_TO_ANSWER = 2
"""What a database that hangs has at the expiry of a credential, to say that it was renewed."""


async def revalidate(scope: Scope, *scopes: str) -> Principal:
    """Check the caller of an open socket again, before something that matters.

    :raises Refused: when the credential is not good any more.
    :raises InsufficientScope: when it lacks one of ``scopes`` by now; it names them.
    :raises ValueError: when nobody has come with a credential.
    """
    if scope["principal"] is None:
        raise ValueError("This socket was opened without a credential.")
    return require(await look(scope["principal"], scope[REQUEST]), scopes)


async def until_refused(
    principal: Principal, request: HttpRequest, scopes: Sequence[str], recheck: timedelta
) -> int:
    """Return, with the HTTP status of the refusal, when the caller would be refused.

    It is looked at when somebody says that it may have changed, at its own expiry, and every
    ``recheck``. A database that is down, or hangs, ends nothing before the expiry.
    """
    with current_listener().listening(subjects_of(principal)) as notified:
        while True:
            await _set_or_after(notified, _seconds_until_next_look(principal, recheck))
            notified.clear()
            try:
                principal = await _looked_at(principal, request)
                require(principal, scopes)
            except Unavailable:
                if _is_expired(principal):
                    return 401
            except Refused as refusal:
                return refusal.status


async def _set_or_after(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _looked_at(principal: Principal, request: HttpRequest) -> Principal:
    looking = look_with_others(principal, request)
    left = _seconds_left(principal)
    timeout = None if left is None else left + _SECONDS_TO_ANSWER
    await asyncio.wait({looking}, timeout=timeout)
    if not looking.done():
        raise Unavailable("the database has not answered")
    return looking.result()


def _seconds_until_next_look(principal: Principal, recheck: timedelta) -> float:
    seconds, left = recheck.total_seconds(), _seconds_left(principal)
    return seconds if left is None else min(seconds, left)


def _seconds_left(principal: Principal) -> float | None:
    if principal.expires_at is None:
        return None
    return max(0.0, (principal.expires_at - timezone.now()).total_seconds())


def _is_expired(principal: Principal) -> bool:
    return principal.expires_at is not None and timezone.now() >= principal.expires_at
