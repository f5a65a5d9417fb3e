"""The twin for httpx: ``httpx.get(url, auth=PikkuAuth())``, sync and async."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import httpx

from pikku_auth.client.auth import PikkuAuth as _OfRequests
from pikku_auth.client.auth import drop_credentials, refuse_a_proxy_for_loopback
from pikku_auth.client.errors import BadUrl
from pikku_auth.client.origins import origin_of
from pikku_auth.client.store import Store


class PikkuAuth(httpx.Auth):
    """The credential that belongs to the URL, by the rules of :class:`pikku_auth.client.PikkuAuth`.

    Neither header follows a redirect to another origin. A redirect to the same one is asked
    for a second time if need be, with the credential. The environment's proxies are
    known here; a ``proxy`` that a client was given is not, so don't give it one for localhost.
    """

    def __init__(
        self, url: str | None = None, *, required: bool = True, store: Store | None = None
    ) -> None:
        self._credentials = _OfRequests(url, required=required, store=store)

    def __repr__(self) -> str:
        return repr(self._credentials)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request`` with its header.

        :raises InsecureUrl: for plain ``http``, except to this machine without a proxy.
        :raises NotLoggedIn: when there is no credential and one is required.
        """
        self._attach(request)
        response = yield request
        followed = response.request
        if followed is not request and response.status_code == 401 and _is_same(followed, request):
            self._attach(followed)
            yield followed

    def _attach(self, request: httpx.Request) -> None:
        url = str(request.url)
        refuse_a_proxy_for_loopback(url)
        request.headers = _Carrying(request.headers, self._credentials.headers_for(url))


class _Carrying(httpx.Headers):
    """Headers with a credential that goes out with them, and into no copy of them.

    httpx copies a request's headers for the next hop of a redirect, to whichever origin that
    leads, and takes no more than ``Authorization`` away, and not always.
    """

    def __init__(self, headers: httpx.Headers, credential: Mapping[str, str]) -> None:
        self._credential = httpx.Headers(credential).raw
        super().__init__(headers)
        drop_credentials(self)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """What is sent."""
        return [*super().raw, *self._credential]


def _is_same(one: httpx.Request, other: httpx.Request) -> bool:
    try:
        return origin_of(str(one.url)) == origin_of(str(other.url))
    except BadUrl:
        return False
