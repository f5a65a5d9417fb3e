"""Is the caller of a connection that has stayed open still good?"""

from __future__ import annotations

from datetime import datetime

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils import timezone

from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.keys.verify import reverify_key
from pikku_auth.flows.logins import reverify_login
from pikku_auth.flows.mapping import amapped, mapped
from pikku_auth.flows.tickets import principal_of, reread
from pikku_auth.models import APIKey, LoginSession
from pikku_auth.principal import Principal


def revalidate(
    principal: Principal, request: HttpRequest, *, now: datetime | None = None
) -> Principal:
    """``principal`` by the rows that exist now, and by what the host's mapping says now.

    ``request`` is the one that opened the connection. Nothing is counted.

    :raises Refused: when the credential is not good any more, or the mapping rejects it.
    """
    again = _reverified(principal, address_of(request), now or timezone.now())
    return mapped(again, request)


async def arevalidate(
    principal: Principal, request: HttpRequest, *, now: datetime | None = None
) -> Principal:
    """As :func:`revalidate`. Only the database's part, and a sync mapping, run in a thread.

    :raises Refused: when the credential is not good any more, or the mapping rejects it.
    """
    again = await sync_to_async(_reverified)(principal, address_of(request), now or timezone.now())
    return await amapped(again, request)


def _reverified(principal: Principal, ip: str | None, now: datetime) -> Principal:
    match principal.credential:
        case APIKey() as key:
            return reverify_key(key, ip=ip, now=now)
        case LoginSession() as login:
            return reverify_login(login, now=now)
        case ticket:
            return principal_of(reread(ticket), ip=ip, now=now)
