"""A real server and a real client: what arrives on a socket gets in or gets a clear no."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from pikku_auth.flows import IssuedKey, revoke_key, rotate_key
from pikku_auth.testing import key_headers

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


@pytest.fixture
def ask(live_server: Any) -> Callable[..., requests.Response]:
    def get(**options: Any) -> requests.Response:
        return requests.get(f"{live_server.url}/api/sandboxes/", timeout=30, **options)

    return get


def raw(live_server: Any, *headers: bytes) -> bytes:
    """The status line that a server gives to headers which no client would send."""
    url = urlsplit(live_server.url)
    request = b"\r\n".join(
        [b"GET /api/sandboxes/ HTTP/1.0", b"Host: localhost", *headers, b"", b""]
    )
    with socket.create_connection((url.hostname, url.port), timeout=30) as peer:
        try:
            peer.sendall(request)
            answer = peer.makefile("rb").readline()
        except ConnectionError:  # pragma: no cover  # a server may hang up on a long line
            return b"closed"
    return answer.split(b" ")[1] if answer else b"closed"


def test_a_machine_works_rotates_and_is_stopped(mint: Mint, ask: Any) -> None:
    old = mint(scopes=["sandbox:read"])
    assert ask(headers=key_headers(old)).status_code == 200
    new = rotate_key(old.key, overlap=None)
    assert ask(headers=key_headers(old)).status_code == 401
    assert ask(headers=key_headers(new)).status_code == 200
    revoke_key(new.key)
    refusal = ask(headers=key_headers(new))
    assert refusal.status_code == 401
    assert refusal.headers["WWW-Authenticate"] == 'ApiKey realm="api"'
    assert refusal.json() == {"detail": "Invalid API key.", "code": "invalid_key"}


def test_two_headers_are_one_too_many(mint: Mint, live_server: Any) -> None:
    good = mint(scopes=["*"]).secret.reveal().encode()
    header, bad = b"x-api-key: " + good, b"x-api-key: nonsense"
    assert raw(live_server, header) == b"200"
    for pair in ((header, bad), (bad, header), (header, header)):
        assert raw(live_server, *pair) == b"401"


def test_an_underscore_does_not_spell_the_header(mint: Mint, live_server: Any) -> None:
    good = mint(scopes=["*"]).secret.reveal().encode()
    assert raw(live_server, b"x_api_key: " + good) == b"401"


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b"\t", b"nonsense", b"\xff\xfe", "ключ".encode(), b"a\0b", b"pka_\0" + b"0" * 48,
        b"a" * 8192, b"a" * 1_048_576, b"pka_" + b"0" * 49, b"'; DROP TABLE pikku_auth_apikey; --",
        b"%s%s%s%n", b"${jndi:ldap://x}", b"a\r\n b", b"\x1b[31m",
    ],
)  # fmt: skip
def test_no_value_is_an_error_of_the_server(value: bytes, live_server: Any) -> None:
    for name in (b"x-api-key: ", b"Authorization: Bearer ", b"Authorization: "):
        assert raw(live_server, name + value) in {b"400", b"401", b"431", b"closed"}


def test_a_login_endpoint_without_a_body_says_what_is_missing(live_server: Any) -> None:
    answer = requests.post(f"{live_server.url}/auth/device/code", timeout=30)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_request",
        "error_description": "[body.client_id] Invalid input: expected string, received undefined",
    }
