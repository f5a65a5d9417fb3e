"""Deciding on a handshake, before the socket opens."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from pikku_auth.contrib.channels.database import as_in_a_request
from pikku_auth.contrib.channels.scope import Scope
from pikku_auth.core.websocket_protocol import tickets_in
from pikku_auth.exceptions import HTTPSRequired, InvalidTicket, OriginNotAllowed, Refused
from pikku_auth.flows import aauthenticate, judgements
from pikku_auth.flows.credentials import address_of, is_exposed
from pikku_auth.flows.mapping import amapped
from pikku_auth.flows.tickets import redeem_ticket, refuse_ticket, ticket_digest
from pikku_auth.http.origins import is_trusted
from pikku_auth.principal import Principal

SOURCE = "channels"

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

    :raises OriginNotAllowed: when a page of another site does, or the ``Host`` is not ours.
    :raises Refused: when there is a credential and it is not good.
    """
    _check_site(request, origins)
    presented = tickets_in(subprotocols)
    digests = [ticket_digest(ticket) for ticket in presented]
    async with as_in_a_request():
        principal = await aauthenticate(request, source=SOURCE) or await _holder_of(
            digests, request
        )
    has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    if principal is None and has_session and "HTTP_ORIGIN" not in request.META:
        # Browsers always send Origin: refuse the site's session cookie without one.
        raise OriginNotAllowed("cookie_without_origin")
    return principal


async def _holder_of(tickets: Sequence[str | None], request: HttpRequest) -> Principal | None:
    if not tickets:
        return None
    try:
        principal = await _redeemed(tickets, request)
    except Refused as refusal:
        await judgements.atell("ticket", SOURCE, refusal)
        raise
    await judgements.atell("ticket", SOURCE, principal)
    return principal


async def _redeemed(tickets: Sequence[str | None], request: HttpRequest) -> Principal:
    if is_exposed(request):
        refuse_ticket(HTTPSRequired("plain_http"), None, address_of(request))
    if len(tickets) > 1:
        raise InvalidTicket("repeated")
    principal = await sync_to_async(redeem_ticket)(tickets[0], ip=address_of(request))
    return await amapped(principal, request)


def _check_site(request: HttpRequest, origins: Sequence[str]) -> None:
    try:
        request.get_host()
    except DisallowedHost:
        raise OriginNotAllowed("disallowed_host") from None
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None and not is_trusted(origin, request, origins):
        raise OriginNotAllowed
