"""A credential on every request: a key or a token of the environment, else a stored login."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, requote_uri, select_proxy

from pikku_auth.client.environment import (
    API_KEY_VARIABLE,
    KEY_HEADER,
    TOKEN_VARIABLE,
    is_token,
    key_from_environment,
    key_header_of,
    token_from_environment,
)
from pikku_auth.client.exceptions import (
    BadUrl,
    InsecureUrl,
    LoginExpired,
    NotLoggedIn,
    StoreError,
)
from pikku_auth.client.origins import (
    Origin,
    normalise_base_url,
    origin_of,
    origin_of_base,
    safe_origin_of,
)
from pikku_auth.client.store import Store

BEARER_HEADER = "Authorization"


@dataclass(frozen=True)
class Credential:
    """One header, and where its value came from."""

    header: str
    value: str = field(repr=False)
    source: str
    over_at: str | None = None
    """The base URL of a login whose stored expiry has passed. The server may have renewed it."""

    def judge(self, status: int) -> None:
        """Say what a 401 means for a login whose stored expiry has passed.

        :raises LoginExpired: when it does.
        """
        if status == 401 and self.over_at is not None:
            raise LoginExpired(
                f"The login at {self.over_at} has expired. {how_to_log_in(self.over_at)}"
            )


class PikkuAuth(AuthBase):
    """``requests.get(url, auth=PikkuAuth())``: the credential that belongs to the URL.

    ``PIKKU_API_KEY``, else ``PIKKU_TOKEN``, goes to the server that is asked, whichever that is;
    a stored login only to the origin it came from. With ``url``, none goes to another origin.
    Without a credential a request fails with :class:`NotLoggedIn`, unless ``required``
    is false. Neither header follows a redirect to another origin. ``key_header`` is the name
    that the server gives to the header of keys; without it, ``PIKKU_KEY_HEADER`` is, else
    ``x-api-key``.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        required: bool = True,
        key_header: str | None = None,
        store: Store | None = None,
    ) -> None:
        self.url = None if url is None else normalise_base_url(url)
        self.required = required
        self.key_header = key_header_of(key_header)
        self._store = store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, required={self.required})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        refuse_a_proxy_for_loopback(request.url or "")
        return self.attach(request)

    def attach(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header, for a caller that sees to it that no proxy reads it."""
        credential = self.credential_for(request.url)
        if credential is not None:
            request.headers[credential.header] = credential.value
            judge = partial(_judge, credential=credential)
            request.register_hook("response", judge)  # type: ignore[no-untyped-call]
        forget = partial(forget_on_leaving, key_header=self.key_header)
        request.register_hook("response", forget)  # type: ignore[no-untyped-call]
        return request

    def headers_for(self, url: str | None) -> dict[str, str]:
        """The one header for ``url``, or none; as :meth:`credential_for`."""
        credential = self.credential_for(url)
        return {credential.header: credential.value} if credential else {}

    def credential_for(self, url: str | None) -> Credential | None:
        """The credential for ``url``, or ``None``.

        :raises InsecureUrl: for plain ``http``, except to this machine.
        :raises NotLoggedIn: when there is none and one is required.
        """
        origin = safe_origin_of(url)
        if self.url is not None and origin != origin_of_base(self.url):
            raise BadUrl(f"This credential is for {self.url}, and not for {origin}.")
        path = urlsplit(url or "").path
        credential = find_credential(origin, path, self._store, key_header=self.key_header)
        if credential is None and self.required:
            raise NotLoggedIn(f"Not logged in to {origin}. {how_to_log_in(origin)}")
        return credential


def find_credential(
    origin: Origin, path: str, store: Store | None = None, *, key_header: str = KEY_HEADER
) -> Credential | None:
    """The key of the environment, else its token, else the stored login for that origin.

    Servers renew a login that is used, so one whose stored expiry has passed is sent, too.

    :raises StoreError: when the login can't be the value of a header.
    """
    key = key_from_environment()
    if key is not None:
        return Credential(key_header, key, API_KEY_VARIABLE)
    token = token_from_environment()
    if token is not None:
        return bearer(token, TOKEN_VARIABLE)
    store = store or Store()
    login = store.find_by_origin(origin, path)
    if login is None:
        return None
    if not is_token(login.access_token):
        raise StoreError(
            f"What is stored for {login.base_url} is not a token. {how_to_log_in(login.base_url)}"
        )
    over_at = login.base_url if login.is_expired(datetime.now(UTC)) else None
    return bearer(login.access_token, str(store.path), over_at)


def bearer(token: str, source: str, over_at: str | None = None) -> Credential:
    """A login's token as a credential."""
    return Credential(BEARER_HEADER, f"Bearer {token}", source, over_at)


def _judge(response: Response, *, credential: Credential, **_: object) -> None:
    credential.judge(response.status_code)


def how_to_log_in(url: object) -> str:
    """What to run."""
    return f"Run: pikku-auth login --url {url}"


def websocket_headers(
    url: str,
    *,
    required: bool = True,
    key_header: str | None = None,
    store: Store | None = None,
) -> dict[str, str]:
    """The header for the handshake of a WebSocket client with ``ws://`` or ``wss://``.

    A WebSocket client that follows redirects must be told not to;
    :class:`pikku_auth.client.ext.websockets.connect` is.
    """
    auth = PikkuAuth(required=required, key_header=key_header, store=store)
    return auth.headers_for(http_url_of(url))


def http_url_of(url: str) -> str:
    """The address of the handshake of ``ws://`` or ``wss://``; no address for anything else."""
    scheme, separator, rest = url.partition(":")
    scheme = {"ws": "http", "wss": "https"}.get(scheme.lower(), "")
    return f"{scheme}{separator}{rest}"


def drop_credentials(headers: MutableMapping[str, str], key_header: str = KEY_HEADER) -> None:
    """Take both headers away, however they got there, and a key of the usual name."""
    for name in (KEY_HEADER, key_header, BEARER_HEADER):
        headers.pop(name, None)


def forget_on_leaving(
    response: Response, *, key_header: str = KEY_HEADER, **options: object
) -> None:
    """A response hook: drop both headers before requests follows to another origin.

    requests copies the headers of ``response.request`` for the next hop, and removes
    ``Authorization`` by rules that are laxer than ours, and ``x-api-key`` never.
    """
    if response.is_redirect and not _stays(response):
        drop_credentials(response.request.headers, key_header)


def _stays(response: Response) -> bool:
    """Whether the redirect leads to the same origin, read as requests will."""
    location = response.headers["location"].encode("latin1").decode("utf8", "replace")
    try:
        target = requote_uri(urljoin(response.url, location))
        return origin_of(target) == origin_of(response.request.url)
    except ValueError:  # BadUrl is one, and so is what urljoin and requote_uri raise
        return False


def refuse_a_proxy_for_loopback(url: str) -> None:
    """requests would send plain http to the proxy, the header in it for all to read."""
    if not safe_origin_of(url).is_loopback:
        return
    if select_proxy(url, get_environ_proxies(url)) is not None:
        raise InsecureUrl(
            "The proxy of this environment would see the credential: add this host to NO_PROXY, "
            "or use pikku_auth.client.Session, which goes to localhost without a proxy."
        )
