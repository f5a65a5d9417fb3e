"""What went wrong on the way to a server, in our words: those of requests may hold secrets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

from requests.exceptions import ProxyError, SSLError, Timeout
from requests.utils import get_environ_proxies, select_proxy

from pikku_auth.client.origins import Origin
from pikku_auth.client.text import printable

_LONGEST = 300
_LONGEST_ADDRESS = 200
_NO_CERTIFICATES = (
    "its certificate can't be verified: {reason}. If an authority of your own has signed it, set "
    "REQUESTS_CA_BUNDLE to the file with that authority's certificate"
)


def what_happened(error: Exception, origin: Origin) -> str:
    """One line: the name, the port, the proxy, the certificate, or the time."""
    chain = list(_chain(error))
    if isinstance(error, ProxyError):
        return f"the proxy {_proxy_for(origin)} can't be used"
    if isinstance(error, SSLError):
        return _NO_CERTIFICATES.format(reason=_certificate_failure(chain))
    if isinstance(error, Timeout):
        return "no answer in time"
    if isinstance(error, OSError) and "TLS CA certificate bundle" in str(error):
        return "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that does not exist"
    return _network_failure(chain, origin)


def details_of(error: Exception, sent: Iterable[str]) -> list[str]:
    """The causes, for ``--debug``, without what was sent in confidence."""
    lines = [f"{type(cause).__name__}: {cause}" for cause in _chain(error)]
    for secret in sent:
        lines = [line.replace(secret, "…") for line in lines]
    return [printable(line, _LONGEST) for line in lines]


def where_it_leads(asked: str, location: str, base_url: str) -> str:
    """Where a redirect leads, without its query, and what to try."""
    try:
        parts = urlsplit(urljoin(asked, location))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "It redirects to an address that can't be read."
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    target = printable(f"{parts.scheme}://{netloc}{parts.path}", _LONGEST_ADDRESS)
    below = urlsplit(asked).path.removeprefix(urlsplit(base_url).path)
    base = target.removesuffix(below)
    hint = f" Try --url {base}." if base != target and base != base_url else ""
    return f"It redirects to {target}.{hint}"


def _network_failure(chain: list[BaseException], origin: Origin) -> str:
    for error in chain:
        if isinstance(error, socket.gaierror) or type(error).__name__ == "NameResolutionError":
            return f"the name {origin.host} can't be resolved"
        if isinstance(error, ConnectionRefusedError):
            return f"the connection to port {origin.port} was refused"
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return "the connection was closed by the other side"
        if isinstance(error, OSError) and error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            return "there is no route to it"
    return "the connection failed, or the answer broke off"


def _certificate_failure(chain: list[BaseException]) -> str:
    told = (getattr(error, "verify_message", "") for error in chain)
    return next(filter(None, told), "the TLS handshake failed")


def _proxy_for(origin: Origin) -> str:
    proxy = select_proxy(str(origin), get_environ_proxies(str(origin))) or ""
    try:
        parts = urlsplit(proxy)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "of this environment"
    return f"{parts.hostname}{port}" if parts.hostname else "of this environment"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of; urllib3 keeps that as ``reason``, or as an argument."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [found.__cause__, found.__context__, getattr(found, "reason", None)]
            waiting += list(found.args)
