"""Which server an address belongs to, read exactly as requests reads it when it connects."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest

from pikku_auth.client.exceptions import BadUrl, InsecureUrl

_PORTS = {"http": 80, "https": 443}
# Parsers disagree about a backslash and about what is not printable ASCII.
_PLAIN = re.compile(r"[!-\[\]-~]+")


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454): what a credential belongs to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by ``localhost`` or a literal address."""
        if self.host == "localhost":
            return True
        try:
            return "%" not in self.host and ip_address(self.host).is_loopback
        except ValueError:
            return False


def origin_of(url: str | None) -> Origin:
    """The origin of a URL that is ready to be sent.

    :raises BadUrl: when two programs might read it differently, or it names a user.
    """
    if not url or not _PLAIN.fullmatch(url):
        raise BadUrl("This is not an address that can be used safely.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("This address has no readable host or port.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadUrl("Only http and https addresses can be used.")
    if "@" in parts.netloc:
        raise BadUrl("An address may not name a user or a password.")
    return Origin(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)


def safe_origin_of(url: str | None) -> Origin:
    """The origin of a URL to which a credential may be sent.

    :raises InsecureUrl: for plain ``http``, except to this machine.
    """
    origin = origin_of(url)
    if origin.scheme != "https" and not origin.is_loopback:
        raise InsecureUrl(f"{origin} is not encrypted: use https. Plain http is for localhost.")
    return origin


def normalise_base_url(text: str) -> str:
    """Trim ``text`` and its trailing slashes, and nothing else, as the Pikku CLI does.

    :raises BadUrl: when it is no address of a server.
    :raises InsecureUrl: for plain ``http``, except to this machine.
    """
    url = text.strip().rstrip("/")
    if "://" not in url and "@" not in url and _PLAIN.fullmatch(url):
        raise BadUrl(f"Write the whole address: {_scheme_for(url)}://{url}")
    safe_origin_of(_as_sent(url))
    if "?" in url or "#" in url:
        raise BadUrl("The address of a server has no ? and no #.")
    return url


def _scheme_for(address: str) -> str:
    """The scheme that an address without one may have: plain http is for this machine."""
    host = re.split(r"[:/]", address.removeprefix("["), maxsplit=1)[0]
    return "http" if host in {"localhost", "127.0.0.1", ""} else "https"


def origin_of_base(url: str) -> Origin:
    """The origin of an address as it was typed or stored."""
    return origin_of(_as_sent(url))


def path_of_base(url: str) -> str:
    """Its path, without a slash at the end."""
    return urlsplit(_as_sent(url)).path.rstrip("/")


def is_same_server(one: str, other: str) -> bool:
    """Whether two base URLs mean the same, however their host is written."""
    try:
        return (origin_of_base(one), path_of_base(one)) == (
            origin_of_base(other),
            path_of_base(other),
        )
    except BadUrl:
        return False


def _as_sent(url: str) -> str:
    """What requests makes of it: a host in lower case, in punycode, and so on."""
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(url, None)
    except ValueError:  # all of requests' exceptions about addresses are
        raise BadUrl("Write the whole address, for example https://app.example.com.") from None
    return prepared.url or ""
