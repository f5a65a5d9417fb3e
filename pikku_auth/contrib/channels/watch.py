"""Looking after an open socket: its caller may be good at the handshake, and not for ever."""

from __future__ import annotations

from channels.db import database_sync_to_async
from django.http import HttpRequest
from django.utils import timezone

from pikku_auth import flows
from pikku_auth.conf import conf
from pikku_auth.contrib.channels.handshake import Scope
from pikku_auth.contrib.channels.nudges import Nudges
from pikku_auth.exceptions import Refused, Unavailable
from pikku_auth.principal import Principal

REQUEST = "pikku_auth.request"
"""Where the scope has the handshake's request."""


async def recheck(scope: Scope) -> Principal:
    """Who the caller of an open socket is now: ask it before an act that matters.

    :raises Refused: when the credential is not good any more.
    :raises ValueError: when nobody has come with a credential.
    """
    if scope["principal"] is None:
        raise ValueError("This socket was opened without a credential.")
    return await _recheck(scope["principal"], scope[REQUEST])


async def until_dead(principal: Principal, request: HttpRequest) -> None:
    """Return when the credential is not good any more.

    It is looked at when somebody says that it may have changed, at its own expiry, and every
    ``SOCKET_RECHECK``. A database that is down ends nothing before the expiry.
    """
    async with Nudges(principal) as nudges:
        # Who was told to look again before we listened has to look once.
        seconds = 0.0 if nudges.are_heard else _seconds_until_next_look(principal)
        while True:
            await nudges.wait(seconds)
            try:
                principal = await _recheck(principal, request)
            except Unavailable:
                if _is_expired(principal):
                    return
            except Refused:
                return
            seconds = _seconds_until_next_look(principal)


_recheck = database_sync_to_async(flows.recheck)


def _seconds_until_next_look(principal: Principal) -> float:
    seconds = conf.socket_recheck.total_seconds()
    if principal.expires_at is None:
        return seconds
    left = (principal.expires_at - timezone.now()).total_seconds()
    return max(0.0, min(seconds, left))


def _is_expired(principal: Principal) -> bool:
    return principal.expires_at is not None and timezone.now() >= principal.expires_at
