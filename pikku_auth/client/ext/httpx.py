"""The twin for httpx: ``httpx.get(url, auth=PikkuHTTPXAuth())``, sync and async."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import takewhile
from urllib.request import getproxies

import httpx

from pikku_auth.client.auth import Credential, PikkuAuth, drop_credentials
from pikku_auth.client.exceptions import BadUrl, InsecureUrl
from pikku_auth.client.origins import origin_of, safe_origin_of
from pikku_auth.client.store import Store

_SAFE = {"GET", "HEAD", "OPTIONS"}


class PikkuHTTPXAuth(httpx.Auth):
    """The credential that belongs to the URL, by the rules of :class:`pikku_auth.client.PikkuAuth`.

    Neither header follows a redirect to another origin, nor back from one. Where a redirect to
    the same origin leads is asked for a second time, with the credential: at once for what is
    safe to repeat, and for anything else when it is answered with 401. The environment's proxies
    are known here; a ``proxy`` that a client was given is not, so don't give it one for localhost.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        required: bool = True,
        key_header: str | None = None,
        store: Store | None = None,
    ) -> None:
        self._credentials = PikkuAuth(url, required=required, key_header=key_header, store=store)

    def __repr__(self) -> str:
        return repr(self._credentials)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request`` with its header.

        :raises InsecureUrl: for plain ``http``, except to this machine without a proxy.
        :raises NotLoggedIn: when there is no credential and one is required.
        :raises LoginExpired: when a login whose stored expiry has passed is refused.
        """
        asked: httpx.Request | None = request
        while asked is not None:
            credential = self._attach(asked)
            response = yield asked
            asked = _to_ask_again(asked, response)
        if credential is not None:
            credential.judge(response.status_code)

    def _attach(self, request: httpx.Request) -> Credential | None:
        url = str(request.url)
        _refuse_a_proxy_for_loopback(url)
        credential = self._credentials.credential_for(url)
        header = {credential.header: credential.value} if credential else {}
        request.headers = _Carrying(request.headers, header, self._credentials.key_header)
        return credential


class _Carrying(httpx.Headers):
    """Headers with a credential that goes out with them, and into no copy of them.

    httpx copies a request's headers for the next hop of a redirect, to whichever origin that
    leads, and takes no more than ``Authorization`` away, and not always.
    """

    def __init__(
        self, headers: httpx.Headers, credential: Mapping[str, str], key_header: str
    ) -> None:
        self._credential = httpx.Headers(credential).raw
        super().__init__(headers)
        drop_credentials(self, key_header)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """What is sent."""
        return [*super().raw, *self._credential]


def _to_ask_again(asked: httpx.Request, response: httpx.Response) -> httpx.Request | None:
    """Where ``asked``, which had the credential, was redirected to without it, if it may have it.

    Only its own redirect counts: what another origin has chosen is none of ours.
    """
    backwards = (answer.request for answer in (response, *reversed(response.history)))
    after = [*takewhile(lambda request: request is not asked, backwards)]
    if not after or not _is_same(after[-1], asked):
        return None
    may_repeat = after[-1].method in _SAFE or response.status_code == 401
    return after[-1] if may_repeat else None


def _is_same(one: httpx.Request, other: httpx.Request) -> bool:
    try:
        return origin_of(str(one.url)) == origin_of(str(other.url))
    except BadUrl:
        return False


def _refuse_a_proxy_for_loopback(url: str) -> None:
    """Stricter than for requests: only a host that is named as it is passes the proxy by.

    httpx reads ``NO_PROXY`` by rules of its own, which know no networks.

    :raises InsecureUrl: when the environment's proxy might see the credential.
    """
    origin, proxies = safe_origin_of(url), getproxies()
    spared = {name.strip().lower() for name in proxies.get("no", "").split(",")}
    if origin.is_loopback and {origin.scheme, "all"} & proxies.keys() and origin.host not in spared:
        raise InsecureUrl(
            "The proxy of this environment would see the credential: "
            f"add {origin.host} to NO_PROXY, by that name."
        )
