"""What docs/client.md shows, run."""

from __future__ import annotations

import asyncio

from tests.client.servers import Reply, Server
from tests.client.test_httpx import credentials
from tests.client.test_websockets import SocketServer
from tests.docs.pages import examples, run


def test_a_session_asks_with_the_key(server: Server, key: str) -> None:
    server.answer("/api/sandboxes/", Reply(body=[]))
    session, _, _ = examples("client.md")
    run(session.replace("https://app.example.com", server.url), {})
    assert credentials(server) == {"x-api-key": key}


def test_httpx_asks_with_the_key(server: Server, key: str) -> None:
    server.answer("/api/sandboxes/", Reply(body=[]))
    _, httpx, _ = examples("client.md")
    assert run(httpx, {})["sandboxes"](server.url) == []
    assert credentials(server) == {"x-api-key": key}


def test_a_websocket_opens_with_the_key(key: str) -> None:
    _, _, websockets = examples("client.md")
    with SocketServer() as server:
        assert asyncio.run(run(websockets, {})["first_message"](server.url)) == "hello"
    assert server.seen[0]["x-api-key"] == key
