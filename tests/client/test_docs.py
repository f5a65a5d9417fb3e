"""What docs/client.md shows of httpx and websockets, run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from tests.client.servers import Reply, Server
from tests.client.test_httpx import credentials
from tests.client.test_websockets import SocketServer

PAGE = Path(__file__).parent.parent.parent / "docs" / "client.md"


def names() -> dict[str, Any]:
    """What the page's examples define."""
    found: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if "def " in example:
            exec(example, found)  # noqa: S102  # the documentation is the thing under test
    return found


def test_httpx_asks_with_the_key(server: Server, key: str) -> None:
    server.answer("/api/sandboxes/", Reply(body=[]))
    assert names()["sandboxes"](server.url) == []
    assert credentials(server) == {"x-api-key": key}


def test_a_websocket_opens_with_the_key(key: str) -> None:
    with SocketServer() as server:
        assert asyncio.run(names()["first_message"](server.url)) == "hello"
    assert server.seen[0]["x-api-key"] == key
