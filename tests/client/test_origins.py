"""Which server an address belongs to, and which addresses are refused."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.compat import urlparse

from pikku_auth.client import BadUrl, InsecureUrl
from pikku_auth.client.origins import (
    Origin,
    is_same_server,
    normalise_base_url,
    origin_of,
    origin_of_base,
    path_of_base,
    safe_origin_of,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example.com", ("https", "app.example.com", 443)),
        ("https://APP.example.com:443/x?y#z", ("https", "app.example.com", 443)),
        ("http://localhost:3000", ("http", "localhost", 3000)),
        ("http://[::1]:80/", ("http", "::1", 80)),
        ("https://app.example.com:0", ("https", "app.example.com", 0)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: tuple[str, str, int]) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("https", "app.example.com", 443), "https://app.example.com"),
        (Origin("https", "app.example.com", 8443), "https://app.example.com:8443"),
        (Origin("http", "::1", 3000), "http://[::1]:3000"),
    ],
)
def test_an_origin_is_written_as_an_address(origin: Origin, text: str) -> None:
    assert str(origin) == text
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "app.example.com",
        "ftp://app.example.com",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://:443",
        "https://app.example.com:x",
        "https://app.example.com:99999",
        "https://[::1",
        "https://ada@app.example.com",
        "https://ada:secret@app.example.com",
        "https://app.example.com\\@evil.test",
        "https://app.example.com\t.evil.test",
        "https://app.example.com\n",
        " https://app.example.com",
        "https://app.exämple.com",
    ],
)
def test_what_two_programs_might_read_differently_is_refused(url: str | None) -> None:
    with pytest.raises(BadUrl):
        origin_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "http://localhost",
        "http://LOCALHOST:3000",
        "http://127.0.0.1",
        "http://127.0.0.2:8000",
        "http://[::1]:8000",
    ],
)
def test_https_and_this_machine_are_safe(url: str) -> None:
    assert safe_origin_of(url) == origin_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test",
        "http://localhost.evil.test",
        "http://127.0.0.1.evil.test",
        "http://localhost.",
        "http://127.1",
        "http://2130706433",
        "http://0.0.0.0",
        "http://[::1%25evil.test]",
        "http://10.0.0.1",
        "http://192.168.1.1",
    ],
)
def test_plain_http_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(InsecureUrl):
        safe_origin_of(url)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("  https://app.example.com///\n", "https://app.example.com"),
        ("https://App.Example.com:443/x/", "https://App.Example.com:443/x"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_contract_15_2_a_base_url_is_trimmed_and_nothing_else(typed: str, stored: str) -> None:
    assert normalise_base_url(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "app.example.com",
        "https://",
        "https://ada@app.example.com",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "mailto:ada@example.com",
        "https://*",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(typed: str) -> None:
    with pytest.raises(BadUrl):
        normalise_base_url(typed)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://app.example.com", "https://APP.example.com:443/", True),
        ("https://bücher.example", "https://xn--bcher-kva.example", True),
        ("https://app.example.com/one", "https://app.example.com/two", False),
        ("https://app.example.com", "http://app.example.com", False),
        ("https://app.example.com", "https://app.example.com:8443", False),
        ("https://app.example.com", "https://app.example.com.", False),
        ("https://app.example.com", "not an address", False),
    ],
)
def test_two_base_urls_are_compared_by_origin_and_path(one: str, other: str, same: bool) -> None:
    assert is_same_server(one, other) is same
    assert is_same_server(other, one) is same


def test_the_path_of_a_base_has_no_slash_at_the_end() -> None:
    assert path_of_base("https://app.example.com/") == ""
    assert path_of_base("https://app.example.com/one/") == "/one"


HOSTS = st.text(string.ascii_letters + string.digits + ".-@:\\/%?#[]\t ü。\uff0e", max_size=30)


@given(HOSTS)
@example(":8443")
@example("\\@evil.test")
def test_no_lookalike_is_taken_for_the_server_that_requests_would_not_reach(text: str) -> None:
    try:
        origin = origin_of_base(f"https://app.example.com{text}")
    except BadUrl:
        return
    prepared = PreparedRequest()
    prepared.prepare_url(f"https://app.example.com{text}", None)
    reached = urlparse(prepared.url)
    assert (origin.host, origin.port) == (reached.hostname, reached.port or 443)


@given(st.text(max_size=40))
@example("")
@example("https://app.example.com/ ")
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        url = normalise_base_url(text)
    except (BadUrl, InsecureUrl):
        return
    assert normalise_base_url(url) == url
