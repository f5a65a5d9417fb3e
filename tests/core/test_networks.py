"""Which addresses a key may be used from, and which address a caller has."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.networks import (
    client_address,
    is_allowed,
    normalise_networks,
    parse_address,
)
from tests.cases import in_turn

networks = st.ip_addresses().map(str) | st.ip_addresses(v=4).map(lambda ip: f"{ip}/32")


@pytest.mark.parametrize(
    ("given_network", "stored"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:0db8:0000::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_a_network_is_stored_in_its_shortest_form(given_network: str, stored: str) -> None:
    assert normalise_networks([given_network]) == [stored]


def test_networks_keep_their_order_and_lose_their_doubles() -> None:
    spellings = ["192.0.2.0/24", "10.0.0.0/8", "192.0.2.0/255.255.255.0", "10.0.0.0/8"]
    assert normalise_networks(spellings) == ["192.0.2.0/24", "10.0.0.0/8"]


@given(st.lists(networks, max_size=5))
def test_normalising_twice_changes_nothing(given_networks: list[str]) -> None:
    once = normalise_networks(given_networks)
    assert normalise_networks(once) == once


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "localhost", "192.0.2", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/-1", "*", "\0"],
)
def test_what_is_not_a_network_is_refused_with_an_example(garbage: str) -> None:
    with pytest.raises(ValueError, match=r"is not a network: write CIDR.*192\.0\.2\.0/24"):
        normalise_networks([garbage])


@pytest.mark.parametrize(
    ("mistaken", "meant"),
    [("192.0.2.1/24", "192.0.2.0/24"), ("2001:db8::1/32", "2001:db8::/32")],
)
def test_bits_behind_the_mask_are_refused_with_the_network_that_was_meant(
    mistaken: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        normalise_networks([mistaken])


@pytest.mark.parametrize("network", ["fe80::1%eth0", "fe80::%eth0/10", "fe80::1%eth0/10"])
def test_a_network_with_a_scope_id_is_refused_because_it_could_not_be_kept(network: str) -> None:
    with pytest.raises(ValueError, match="has a scope id"):
        normalise_networks([network])


def test_fifty_networks_are_taken() -> None:
    assert len(normalise_networks(f"10.0.0.{n}" for n in range(50))) == 50


def test_one_network_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 50 networks"):
        normalise_networks(f"10.0.0.{n}" for n in range(51))


@pytest.mark.parametrize(
    ("address", "allowed_networks"),
    [
        ("192.0.2.1", ["192.0.2.0/24"]),
        ("192.0.2.255", ["192.0.2.0/24"]),
        ("192.0.2.1", ["10.0.0.0/8", "192.0.2.1/32"]),
        ("::ffff:192.0.2.1", ["192.0.2.0/24"]),
        ("::ffff:c000:201", ["192.0.2.0/24"]),
        ("2001:db8::1", ["2001:db8::/32"]),
        ("2001:0DB8:0:0::1", ["2001:db8::/32"]),
        ("fe80::1%eth0", ["fe80::/10"]),
        ("2001:db8::1", ["192.0.2.0/24", "::/0"]),
    ],
)
def test_a_caller_inside_one_of_the_networks_is_allowed(
    address: str, allowed_networks: list[str]
) -> None:
    assert is_allowed(address, allowed_networks)


@pytest.mark.parametrize(
    ("address", "allowed_networks"),
    [
        ("192.0.3.0", ["192.0.2.0/24"]),
        ("192.0.1.255", ["192.0.2.0/24"]),
        ("2001:db9::1", ["2001:db8::/32"]),
        ("192.0.2.1", ["::/0"]),
        ("2001:db8::1", ["0.0.0.0/0"]),
        ("192.0.2.1", []),
    ],
)
def test_a_caller_outside_of_the_networks_is_not(address: str, allowed_networks: list[str]) -> None:
    assert not is_allowed(address, allowed_networks)


@pytest.mark.parametrize("address", [None, "", "unix:", "192.0.2", "192.0.2.1:80", "192.0.2.1, x"])
def test_an_unknown_address_is_never_allowed(address: str | None) -> None:
    assert not is_allowed(address, ["0.0.0.0/0", "::/0"])


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mapped_caller_is_allowed_wherever_the_plain_one_is(
    address: IPv4Address, prefix: int
) -> None:
    network = str(ip_network((int(address), prefix), strict=False))
    assert is_allowed(str(address), [network])
    assert is_allowed(f"::ffff:{address}", [network])


@given(st.text())
def test_no_text_makes_an_address_raise(text: str) -> None:
    assert parse_address(text) is None or ip_address(text)


@given(st.ip_addresses(v=6), st.text(st.characters(exclude_characters="%/"), min_size=1))
def test_a_scope_id_is_dropped_whatever_it_says(address: IPv6Address, scope_id: str) -> None:
    assert parse_address(f"{address}%{scope_id}") == parse_address(str(address))


def test_without_proxies_the_peer_of_the_connection_is_the_caller() -> None:
    assert client_address("192.0.2.1", None, num_proxies=0) == "192.0.2.1"


def test_without_proxies_a_forwarded_address_is_not_believed() -> None:
    assert client_address("192.0.2.1", "10.0.0.1", num_proxies=0) == "192.0.2.1"


@pytest.mark.parametrize(
    ("num_proxies", "forwarded_for", "caller"),
    [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "10.6.6.6, 192.0.2.1", "192.0.2.1"),
        (1, "10.6.6.6,10.7.7.7 ,  192.0.2.1 ", "192.0.2.1"),
        (2, "192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "10.6.6.6, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "10.6.6.6, 2001:DB8::1, 10.0.0.1", "2001:db8::1"),
        (1, "::ffff:192.0.2.1", "192.0.2.1"),
        (1, "192.0.2.1,", "192.0.2.1"),
        (2, ", 192.0.2.1, , 10.0.0.1", "192.0.2.1"),
        (1, "unknown, 192.0.2.1", "192.0.2.1"),
        (2, "192.0.2.1, unknown", "192.0.2.1"),
    ],
)
def test_behind_proxies_the_caller_is_counted_from_the_right(
    num_proxies: int, forwarded_for: str, caller: str
) -> None:
    assert client_address("10.0.0.1", forwarded_for, num_proxies=num_proxies) == caller


@given(st.text())
def test_what_a_caller_writes_into_the_forwarded_header_changes_nothing(spoofed: str) -> None:
    appended = f"{spoofed}, 192.0.2.1"
    assert client_address("10.0.0.1", appended, num_proxies=1) == "192.0.2.1"


@pytest.mark.parametrize(
    ("num_proxies", "forwarded_for"),
    [
        (1, None),
        (1, ""),
        (1, " , ,"),
        (1, "unknown"),
        (1, "unknown:4711"),
        (1, "_hidden"),
        (1, "[]"),
        (1, "[2001:db8::1"),
        (1, "192.0.2.1:port"),
        (1, "10.6.6.6, unknown"),
        (2, "192.0.2.1"),
        (2, "192.0.2.1,"),
        (2, "bogus, 192.0.2.1"),
    ],
)
def test_a_header_that_did_not_come_through_every_proxy_makes_the_caller_unknown(
    num_proxies: int, forwarded_for: str | None
) -> None:
    assert client_address("10.0.0.1", forwarded_for, num_proxies=num_proxies) is None


@pytest.mark.parametrize(
    ("form", "address"),
    in_turn(
        ["{}", " {}\t", '"{}"', "[{}]", "[{}]:4711", '"[{}]:4711"', "{}%eth0", "[{}%25eth0]:443"],
        ["2001:db8::1", "fe80::1", "::ffff:192.0.2.1"],
    )
    + in_turn(["{}", " {} ", "{}:4711", '"{}:4711"', "[{}]"], ["192.0.2.1", "10.1.2.3"]),
)
@pytest.mark.parametrize("before", ["", "10.6.6.6, ", "unknown,", ", "])
def test_good_address_is_known_in_every_form_that_proxies_write(
    before: str, form: str, address: str
) -> None:
    expected = address.removeprefix("::ffff:")
    written = before + form.format(address)
    assert client_address("10.0.0.1", written, num_proxies=1) == expected
    assert client_address(form.format(address), None, num_proxies=0) == expected


@given(st.text())
def test_no_forwarded_header_raises(text: str) -> None:
    found = client_address("10.0.0.1", text, num_proxies=1)
    assert found is None or ip_address(found)


@pytest.mark.parametrize("peer", [None, "", "/run/gunicorn.sock", "localhost"])
def test_a_peer_without_an_address_is_unknown(peer: str | None) -> None:
    assert client_address(peer, None, num_proxies=0) is None


def test_the_caller_of_a_mapped_connection_is_an_ipv4_address() -> None:
    assert client_address("::ffff:192.0.2.1", None, num_proxies=0) == "192.0.2.1"


def test_the_caller_of_a_link_local_connection_has_no_scope_id() -> None:
    assert client_address("fe80::1%eth0\n", None, num_proxies=0) == "fe80::1"
