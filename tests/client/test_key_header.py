"""A server may name another header for keys, and each way to ask it knows that name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import requests

from pikku_auth.client import BadKey, PikkuAuth, Session, websocket_headers
from pikku_auth.client.store import Store
from tests.client.conftest import KEY, a_login
from tests.client.servers import TOKEN, Reply, Server

NAME = "X-Machine-Key"
Get = Callable[[str, str | None], None]


def by_requests(url: str, header: str | None) -> None:
    requests.get(url, auth=PikkuAuth(key_header=header), timeout=5)


def by_session(url: str, header: str | None) -> None:
    with Session(key_header=header) as session:
        session.get(url)


def by_session_with_auth(url: str, header: str | None) -> None:
    with Session(PikkuAuth(key_header=header)) as session:
        session.get(url)


def by_httpx(url: str, header: str | None) -> None:
    httpx = pytest.importorskip("httpx")
    from pikku_auth.client.ext.httpx import PikkuHTTPXAuth

    httpx.get(url, auth=PikkuHTTPXAuth(key_header=header), follow_redirects=True)


every_way = pytest.mark.parametrize(
    "get", [by_requests, by_session, by_session_with_auth, by_httpx]
)


@every_way
@pytest.mark.parametrize(
    ("given", "in_environment", "sent"),
    [
        (None, None, "x-api-key"),
        (NAME, None, NAME),
        (None, NAME, NAME),
        (NAME, "x-other-key", NAME),
        (None, "", "x-api-key"),
    ],
)
def test_the_key_is_sent_in_the_header_that_is_named(
    server: Server,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    get: Get,
    given: str | None,
    in_environment: str | None,
    sent: str,
) -> None:
    if in_environment is not None:
        monkeypatch.setenv("PIKKU_KEY_HEADER", in_environment)
    server.answer("/", Reply(body="here"))
    get(server.url, given)
    headers = {name: value for name, value in server.seen[0].headers.items() if value == KEY}
    assert headers == {sent.lower(): KEY}


@every_way
def test_the_key_follows_no_redirect_to_another_origin(
    server: Server, elsewhere: Server, key: str, get: Get
) -> None:
    server.answer("/", Reply(302, headers={"Location": f"{elsewhere.url}/"}))
    elsewhere.answer("/", Reply(body="there"))
    get(server.url, NAME)
    assert KEY in server.seen[0].headers.values()
    assert KEY not in elsewhere.seen[0].headers.values()


@every_way
def test_a_login_is_sent_as_ever(server: Server, store: Store, get: Get) -> None:
    store.save(a_login(server.url))
    server.answer("/", Reply(body="here"))
    get(server.url, NAME)
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_handshake_of_a_websocket_has_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "wss://app.example.com/ws/"
    assert websocket_headers(url, key_header=NAME) == {NAME: KEY}
    monkeypatch.setenv("PIKKU_KEY_HEADER", NAME)
    assert websocket_headers(url) == {NAME: KEY}


def test_a_websocket_connection_sends_it_in_place_of_theirs(key: str) -> None:
    pytest.importorskip("websockets")
    from pikku_auth.client.ext.websockets import connect

    async def headers() -> list[tuple[str, str]]:
        theirs = {NAME.lower(): "theirs", "x-trace": "1"}
        connection = connect("wss://app.example.com/", additional_headers=theirs, key_header=NAME)
        return [*connection.additional_headers.raw_items()]

    assert asyncio.run(headers()) == [("x-trace", "1"), (NAME, KEY)]


@pytest.mark.parametrize("name", ["Authorization", "cookie", "x key", "x-key:", "x\r\ny", "-"])
def test_what_is_no_header_for_a_key_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(BadKey, match="can't be the header of an API key"):
        PikkuAuth(key_header=name)
    monkeypatch.setenv("PIKKU_KEY_HEADER", name)
    with pytest.raises(BadKey, match="PIKKU_KEY_HEADER"):
        Session()
