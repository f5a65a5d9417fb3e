"""The twin for websockets: ``async with connect("wss://app.example.com/ws/") as socket``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import websockets.asyncio.client

from pikku_auth.client.auth import PikkuAuth, http_url_of, refuse_a_proxy_for_loopback
from pikku_auth.client.origins import safe_origin_of


class connect(websockets.asyncio.client.connect):  # noqa: N801  # its name there
    """``websockets.asyncio.client.connect`` with the credential that belongs to the URL.

    By the rules of :func:`~pikku_auth.client.websocket_headers`. A redirect to another origin is
    not followed: websockets would take an API key along.

    :raises InsecureUrl: for plain ``ws``, except to this machine without a proxy.
    :raises NotLoggedIn: when there is no credential.
    """

    def __init__(
        self, uri: str, *, additional_headers: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        url = http_url_of(uri)
        if options.get("proxy", True) is True:
            refuse_a_proxy_for_loopback(url)
        headers = {**(additional_headers or {}), **PikkuAuth().headers_for(url)}
        super().__init__(uri, additional_headers=headers, **options)

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where to go next, if that is the same origin; else ``exc`` is raised."""
        here = safe_origin_of(http_url_of(self.uri))
        target = super().process_redirect(exc)
        if isinstance(target, str) and safe_origin_of(http_url_of(target)) != here:
            return exc
        return target
