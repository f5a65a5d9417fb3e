"""The twin for websockets: ``async with connect("wss://app.example.com/ws/") as socket``."""

from __future__ import annotations

import json
from typing import Any

import websockets.asyncio.client
from websockets.datastructures import Headers, HeadersLike
from websockets.exceptions import InvalidStatus

from pikku_auth.client.auth import BEARER_HEADER, PikkuAuth, http_url_of
from pikku_auth.client.environment import KEY_HEADER
from pikku_auth.client.exceptions import InsecureUrl
from pikku_auth.client.origins import safe_origin_of
from pikku_auth.client.text import printable

_LONGEST = 300


class connect(websockets.asyncio.client.connect):  # noqa: N801  # its name there
    """``websockets.asyncio.client.connect`` with the credential that belongs to the URL.

    By the rules of :func:`~pikku_auth.client.websocket_headers`. To this machine it goes without
    a proxy. A redirect to another origin is not followed: websockets would take an API key along.

    :raises InsecureUrl: for plain ``ws``, except to this machine, and for that by a proxy.
    :raises NotLoggedIn: when there is no credential.
    """

    def __init__(
        self,
        uri: str,
        *,
        additional_headers: HeadersLike | None = None,
        key_header: str | None = None,
        **options: Any,
    ) -> None:
        if safe_origin_of(http_url_of(uri)).is_loopback:
            _refuse_a_proxy(options.get("proxy"))
            options["proxy"] = None
        self.uri = uri
        self._auth = PikkuAuth(key_header=key_header)
        self._theirs: HeadersLike | None = additional_headers
        super().__init__(uri, additional_headers=self.additional_headers, **options)

    @property
    def additional_headers(self) -> Headers:
        """What a handshake is sent with: the credential as it is now, which wins over theirs."""
        theirs = Headers(self._theirs or {}).raw_items()
        ours = self._auth.headers_for(http_url_of(self.uri))
        names = {name.lower() for name in (KEY_HEADER, self._auth.key_header, BEARER_HEADER)}
        kept = [pair for pair in theirs if pair[0].lower() not in names]
        return Headers([*kept, *ours.items()])

    @additional_headers.setter
    def additional_headers(self, headers: HeadersLike | None) -> None:
        self._theirs = headers

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where to go next, if that is the same origin; else ``exc`` is raised."""
        here = safe_origin_of(http_url_of(self.uri))
        target = super().process_redirect(exc)
        if isinstance(target, str) and safe_origin_of(http_url_of(target)) != here:
            target = exc
        return HandshakeRefused(target.response) if isinstance(target, InvalidStatus) else target


class HandshakeRefused(InvalidStatus):
    """The server's answer to the handshake, with the words of its refusal."""

    def __str__(self) -> str:
        """Such as ``server rejected WebSocket connection: HTTP 401: Invalid API key.``"""
        try:
            detail = json.loads(self.response.body or b"")["detail"]
        except (ValueError, TypeError, KeyError):
            return super().__str__()
        return f"{super().__str__()}: {printable(str(detail), _LONGEST)}"


def _refuse_a_proxy(given: object) -> None:
    """The environment's is passed over; to name one is a mistake.

    :raises InsecureUrl: when the caller names one.
    """
    if given is not True and given is not None:
        raise InsecureUrl("A proxy would see the credential: go to localhost without one.")
