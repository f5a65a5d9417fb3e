"""Two servers, a Uvicorn and a Daphne, that share a database and a Redis."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection

from tests.processes import end

ROOT = Path(__file__).parent.parent.parent
SECONDS = 30
"""To wait for what has to come; far more than it takes."""

COMMANDS = {
    "uvicorn": ["uvicorn", "tests.live.asgi:application", "--lifespan", "off", "--port"],
    "daphne": [
        *("daphne", "tests.live.asgi:application", "--bind", "127.0.0.1"),
        *("--websocket_connect_timeout", "60", "--port"),
    ],
}


@dataclass(frozen=True)
class Server:
    """One server process."""

    name: str
    port: int
    environment: dict[str, str]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/whoami/"

    def manage(self, *arguments: str) -> None:
        """Run a command in a process of its own."""
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            timeout=SECONDS,
        )


@pytest.fixture(scope="session")
def environment(django_db_setup: None) -> dict[str, str]:
    """Of the servers."""
    if "REDIS_URL" not in os.environ:
        pytest.exit("Set REDIS_URL to a Redis that tests may use: tests/live needs one.", 1)
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.live.settings",
        "LIVE_DATABASE": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def servers(
    environment: dict[str, str], django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    logs = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(name, environment, logs / f"{name}.log"))
            for name in COMMANDS
        }
        told = "".join(log.read_text() for log in logs.iterdir())
        assert not re.search(r"pk[adst]_[0-9A-Za-z]{49}", told), "a secret was logged"


@contextmanager
def running(name: str, environment: dict[str, str], log: Path, *options: str) -> Iterator[Server]:
    """A server, with more ``options`` on its command line."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(name, port, environment, log)
    command = [sys.executable, "-m", *COMMANDS[name], str(port), *options]
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output) as run,
    ):
        try:
            _wait_for(server, run, log)
            yield server
        finally:
            end(run)


def _wait_for(server: Server, process: Any, log: Path) -> None:
    for _ in range(SECONDS * 10):
        try:
            requests.get(f"{server.url}/accounts/login/", timeout=SECONDS)
        except requests.ConnectionError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{server.name} did not start: {log.read_text()}")


@pytest.fixture(autouse=True)
def _websockets_logs_headers_when_debugged(caplog: pytest.LogCaptureFixture) -> None:
    """Its client does, whatever is in them: docs/websockets.md warns of it."""
    caplog.set_level(logging.INFO, "websockets")


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]


@pytest.fixture
def other(server: Server, servers: dict[str, Server]) -> Server:
    """The server that is not ``server``."""
    (found,) = [other for other in servers.values() if other is not server]
    return found


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")
