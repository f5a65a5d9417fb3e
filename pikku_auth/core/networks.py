"""Networks a key may be used from: CIDR lists, IPv4 and IPv6."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _

MAX_NETWORKS = 50
_MAPPED_BITS = 96
_LONGEST = 100
"""Characters of an address with its port, its zone id, brackets and quotes."""
_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d+)?|([0-9.]+):\d+")
"""``[2001:db8::1]``, ``[2001:db8::1]:4711`` and ``192.0.2.1:4711``, as some proxies write them."""


def normalise_networks(networks: Iterable[str]) -> list[str]:
    """Write each network in its shortest form; a bare address is a network of one.

    IPv4 mapped into IPv6 is written as IPv4, as :func:`parse_address` reads callers.

    :raises ValueError: when one is not a network, or there are too many.
    """
    if isinstance(networks, str) or not isinstance(networks, Iterable):
        raise BrokenRule(_("Give the networks as a list, not as %(given)r."), given=networks)
    found = [_normalise(network) for network in networks]
    if len(found) > MAX_NETWORKS:
        raise BrokenRule(_("A key may name at most %(most)d networks."), most=MAX_NETWORKS)
    return list(dict.fromkeys(found))


def is_allowed(address: str | None, networks: Sequence[str]) -> bool:
    """Whether a caller at ``address`` is inside ``networks``; an unknown address never is.

    An IPv4 address that arrives mapped into IPv6 (``::ffff:192.0.2.1``) counts as IPv4.
    """
    parsed = parse_address(address)
    return parsed is not None and any(parsed in ip_network(network) for network in networks)


def is_within(inner: Sequence[str], outer: Sequence[str]) -> bool:
    """Whether each address of ``inner`` is in ``outer``. An empty list means every address."""
    if not outer or not inner:
        return not outer
    return all(_is_part_of(ip_network(network), outer) for network in inner)


def _is_part_of(network: IPv4Network | IPv6Network, outer: Sequence[str]) -> bool:
    if isinstance(network, IPv4Network):
        fours = [found for found in map(ip_network, outer) if isinstance(found, IPv4Network)]
        return any(network.subnet_of(whole) for whole in collapse_addresses(fours))
    sixes = [found for found in map(ip_network, outer) if isinstance(found, IPv6Network)]
    return any(network.subnet_of(whole) for whole in collapse_addresses(sixes))


def parse_address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Read an address; ``None`` for anything else, such as a Unix socket's empty string.

    An IPv6 scope id is dropped: it means something to one host only, and may be any text.
    """
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def is_loopback(address: str | None) -> bool:
    """Whether the peer is on the same machine."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def client_address(
    remote_addr: str | None, forwarded_for: str | None, *, num_proxies: int
) -> str | None:
    """The caller's address, as far as it can be trusted.

    With ``num_proxies`` at 0 that is the peer of the connection. Behind proxies that
    each append to ``X-Forwarded-For`` it is the ``num_proxies``-th entry from the
    right: what stands further left was written by the caller. A header that is
    shorter did not come through all of them, so the address is unknown.
    Empty entries don't count (RFC 9110, 5.6.1.2), and a port is no part of the address.
    """
    if num_proxies:
        hops = [hop for hop in map(_bare, (forwarded_for or "").split(",")) if hop]
        remote_addr = hops[-num_proxies] if len(hops) >= num_proxies else None
    if not remote_addr or len(remote_addr) > _LONGEST:
        return None
    return _written(remote_addr)


@lru_cache(maxsize=1024)
def _written(entry: str) -> str | None:
    """The address in its shortest form. A caller's next request comes from the same one."""
    address = parse_address(_bare(entry))
    return None if address is None else str(address)


def _bare(entry: str) -> str:
    """An entry without blanks, quotes, brackets and port."""
    text = entry.strip().strip('"').strip()
    found = _WITH_PORT.fullmatch(text)
    return (found[1] or found[2]) if found else text


def _normalise(network: str) -> str:
    if not isinstance(network, str):  # a number would be read as an address
        raise BrokenRule(_("%(network)r is not a network: write it as a text."), network=network)
    if "%" in network:
        raise BrokenRule(
            _("%(network)r has a scope id: write the network without it."), network=network
        )
    try:
        found = ip_network(network)
    except ValueError:
        raise _what_is_wrong_with(network) from None
    address = found.network_address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(IPv4Network((address.ipv4_mapped, found.prefixlen - _MAPPED_BITS)))
    return str(found)


def _what_is_wrong_with(network: str) -> BrokenRule:
    try:
        wide = ip_network(network, strict=False)
    except ValueError:
        return BrokenRule(
            _(
                "%(network)r is not a network: write CIDR, for example 192.0.2.0/24 or "
                "2001:db8::/32."
            ),
            network=network,
        )
    return BrokenRule(
        _("%(network)r has bits set behind its mask: did you mean %(meant)s?"),
        network=network,
        meant=wide,
    )
