"""WebSockets by the ``websockets`` library: the header gets there, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import websockets.sync.client
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.http11 import Response
from websockets.sync.server import ServerConnection, serve

from pikku_auth.client import InsecureUrl, NotLoggedIn, websocket_headers
from pikku_auth.client.ext.websockets import connect
from pikku_auth.client.store import Store
from tests.cases import in_turn
from tests.client.conftest import a_login
from tests.client.servers import TOKEN
from tests.processes import PATIENCE


class SocketServer:
    """A real one, that remembers the headers of each handshake."""

    def __init__(self) -> None:
        self.seen: list[Headers] = []
        self.redirects: dict[str, str] = {}
        self.refusals: dict[str, str] = {}

    def __enter__(self) -> SocketServer:
        self._server = serve(self._hello, "127.0.0.1", 0, process_request=self._answer)
        port = self._server.socket.getsockname()[1]
        self.url, self.http_url = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join(PATIENCE)

    def _answer(self, connection: ServerConnection, request: Any) -> Response | None:
        self.seen.append(request.headers)
        if request.path in self.refusals:
            return connection.respond(HTTPStatus.UNAUTHORIZED, self.refusals[request.path])
        if request.path not in self.redirects:
            return None
        headers = Headers({"Location": self.redirects[request.path], "Content-Length": "0"})
        return Response(HTTPStatus.FOUND.value, "Found", headers)

    def _hello(self, connection: ServerConnection) -> None:
        connection.send("hello")


@pytest.fixture(autouse=True)
def _websockets_logs_headers_when_debugged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "websockets")


@pytest.fixture
def here() -> Iterator[SocketServer]:
    with SocketServer() as running:
        yield running


@pytest.fixture
def there() -> Iterator[SocketServer]:
    with SocketServer() as running:
        yield running


def hello(url: str, **options: Any) -> str:
    async def go() -> str:
        async with connect(url, **options) as socket:
            async with asyncio.timeout(PATIENCE):
                return str(await socket.recv())

    return asyncio.run(go())


def test_the_key_is_in_the_handshake(here: SocketServer, key: str) -> None:
    assert hello(here.url) == "hello"
    assert here.seen[0]["x-api-key"] == key


def test_the_token_of_the_environment_is_in_the_handshake(here: SocketServer, token: str) -> None:
    assert hello(here.url) == "hello"
    assert here.seen[0]["Authorization"] == f"Bearer {token}"


def test_the_login_of_the_origin_is_in_the_handshake(here: SocketServer, store: Store) -> None:
    store.save(a_login(here.http_url))
    assert hello(here.url, additional_headers={"X-More": "1"}) == "hello"
    assert here.seen[0]["Authorization"] == f"Bearer {TOKEN}"
    assert here.seen[0]["X-More"] == "1"


def test_the_bare_headers_do_for_another_client(here: SocketServer, key: str) -> None:
    headers = websocket_headers(here.url)
    with websockets.sync.client.connect(here.url, additional_headers=headers) as socket:
        assert socket.recv(PATIENCE) == "hello"
    assert here.seen[0]["x-api-key"] == key


def test_another_origins_login_is_not_in_the_handshake(here: SocketServer, store: Store) -> None:
    store.save(a_login("https://app.example.com"))
    with pytest.raises(NotLoggedIn):
        connect(here.url)


def test_a_credential_is_not_sent_in_the_clear(key: str) -> None:
    with pytest.raises(InsecureUrl):
        connect("ws://app.example.com")


class TestProxies:
    """To this machine it goes without one, whatever the environment says."""

    @pytest.mark.parametrize(
        ("kind", "spared"),
        in_turn(["ws", "socks", "https", "http", "all"], ["", "127.0.0.0/8", "127.0.0.1", "*"]),
    )
    def test_the_proxy_of_the_environment_sees_no_credential(
        self,
        kind: str,
        spared: str,
        here: SocketServer,
        there: SocketServer,
        key: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(f"{kind}_proxy", there.http_url)
        monkeypatch.setenv("no_proxy", spared)
        assert hello(here.url) == "hello"
        assert here.seen[0]["x-api-key"] == key
        assert there.seen == []

    def test_a_proxy_that_is_named_is_refused(self, here: SocketServer, key: str) -> None:
        with pytest.raises(InsecureUrl, match="localhost without one"):
            connect(here.url, proxy="http://proxy.example.com:3128")

    def test_no_proxy_may_be_named(self, here: SocketServer, key: str) -> None:
        assert hello(here.url, proxy=None) == "hello"

    def test_the_proxy_of_the_environment_is_used_elsewhere(self, key: str) -> None:
        assert connect("wss://app.example.com").proxy is True


class TestHeaders:
    """Ours wins, and is there once."""

    @pytest.mark.parametrize(
        "theirs",
        [
            {"X-API-KEY": "another", "authorization": "Basic another", "X-More": "1"},
            [("x-Api-Key", "one"), ("x-api-key", "two"), ("X-More", "1")],
        ],
        ids=["a mapping", "pairs"],
    )
    def test_the_credential_goes_over_a_header_of_the_caller(
        self, theirs: Any, here: SocketServer, key: str
    ) -> None:
        assert hello(here.url, additional_headers=theirs) == "hello"
        assert here.seen[0].get_all("x-api-key") == [key]
        assert here.seen[0].get_all("authorization") == []
        assert here.seen[0]["X-More"] == "1"

    def test_each_attempt_has_the_credential_of_its_moment(
        self, here: SocketServer, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def go() -> None:
            attempts: Any = aiter(connect(here.url))
            await anext(attempts)
            monkeypatch.setenv("PIKKU_API_KEY", "pka_TheNextOne")
            await anext(attempts)
            await attempts.aclose()

        asyncio.run(go())
        assert [headers["x-api-key"] for headers in here.seen] == [key, "pka_TheNextOne"]


def test_a_redirect_to_another_origin_is_not_followed(
    here: SocketServer, there: SocketServer, key: str
) -> None:
    here.redirects["/away"] = f"{there.url}/there"
    with pytest.raises(InvalidStatus):
        hello(f"{here.url}/away")
    assert there.seen == []


def test_a_redirect_to_the_same_origin_is_followed(here: SocketServer, key: str) -> None:
    here.redirects["/moved"] = "/here"
    assert hello(f"{here.url}/moved") == "hello"
    assert here.seen[1]["x-api-key"] == key


def test_another_failure_of_the_handshake_is_raised_as_it_is(here: SocketServer, key: str) -> None:
    here.redirects["/nowhere"] = "https://not-a-socket.example.com/"
    with pytest.raises(InvalidURI):
        hello(f"{here.url}/nowhere")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"detail": "Invalid API key.", "code": "invalid_key"}', "HTTP 401: Invalid API key."),
        ('{"detail": "a\\u001b[31mb"}', "HTTP 401: a"),
        ("not JSON", "HTTP 401"),
        ("[]", "HTTP 401"),
        ("{}", "HTTP 401"),
    ],
)
def test_refusal_of_a_handshake_is_told_in_its_words(
    here: SocketServer, store: Store, body: str, words: str
) -> None:
    store.save(a_login(here.http_url))
    here.refusals["/"] = body

    async def go() -> None:
        async with connect(here.url):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(go())
    assert f"server rejected WebSocket connection: {words}" in str(refused.value)
    assert "\x1b" not in str(refused.value)
