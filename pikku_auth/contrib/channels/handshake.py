"""Deciding on a handshake, before the socket opens."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from channels.db import database_sync_to_async
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from pikku_auth.core.subprotocols import tickets_in
from pikku_auth.exceptions import InvalidTicket, OriginNotAllowed
from pikku_auth.flows import redeem_ticket, resolve, usage
from pikku_auth.flows.mapping import mapped
from pikku_auth.flows.presented import address_of
from pikku_auth.flows.tickets import ticket_digest
from pikku_auth.origins import is_trusted
from pikku_auth.principal import Principal

Scope = dict[str, Any]

_SCHEMES = {"ws": "http", "wss": "https"}


def request_of(scope: Scope) -> HttpRequest:
    """The handshake as the HTTP request that it is (RFC 6455, 4.1).

    Django itself reads the raw headers, so that they mean here what they mean everywhere: one
    that is there twice is joined by a comma, and then it is no credential.
    """
    scheme = _SCHEMES.get(scope.get("scheme", "ws"), "http")
    return ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, BytesIO())


async def decide(
    request: HttpRequest, subprotocols: Sequence[str], origins: Sequence[str]
) -> Principal | None:
    """Who opens the socket; ``None`` for nobody.

    A header decides alone, as everywhere; only where there is none, a ticket does.

    :raises OriginNotAllowed: when a page of another site does.
    :raises Refused: when there is a credential and it is not good.
    """
    _check_origin(request, origins)
    presented = tickets_in(subprotocols)
    digests = [ticket_digest(ticket) for ticket in presented]
    principal = await database_sync_to_async(_principal)(request, digests)
    if principal is None and "HTTP_ORIGIN" not in request.META and request.META.get("HTTP_COOKIE"):
        # Browsers always say where they are: what has a cookie and hides that is nobody's friend.
        raise OriginNotAllowed("cookie_without_origin")
    return principal


def _principal(request: HttpRequest, tickets: Sequence[str | None]) -> Principal | None:
    principal = resolve(request)
    if principal is None and tickets:
        if len(tickets) > 1:
            raise InvalidTicket("repeated")
        principal = mapped(redeem_ticket(tickets[0], ip=address_of(request)), request)
    usage.flush_outside_transaction()
    return principal


def _check_origin(request: HttpRequest, origins: Sequence[str]) -> None:
    origin = request.META.get("HTTP_ORIGIN")
    try:
        if origin is not None and not is_trusted(origin, request, origins):
            raise OriginNotAllowed
    except DisallowedHost:
        raise OriginNotAllowed("disallowed_host") from None
