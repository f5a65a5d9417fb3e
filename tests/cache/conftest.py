"""A Redis of the tests' own, which they freeze, empty and kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.db.models.signals import post_delete, post_save
from django.test import override_settings
from redis import Redis

from pikku_auth.flows.accounts import tables_of_users
from pikku_auth.flows.cache import rows, stamps
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from tests.conftest import pikku_settings
from tests.processes import PATIENCE


class RedisServer:
    """One that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def path(self) -> Path:
        """Of its Unix socket."""
        return self._folder / "redis.sock"

    @property
    def client(self) -> Any:
        return Redis.from_url(self.url)

    def start(self) -> None:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": self.path,
            "save": "",
            "dir": self._folder,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def freeze(self) -> None:
        """Have it take connections, and say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restore(self) -> None:
        """Have it as it was at first: there, awake, empty and without a password."""
        self.kill()
        self.start()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("Install redis-server: these tests start one of their own.")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The cache is on, and what is saved changes its stamp, as where a process starts with it."""
    cache = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_server.url,
    }
    with (
        override_settings(CACHES={**caches.settings, "stamps": cache}),
        pikku_settings(CACHE="stamps"),
        _told_of_saves(),
    ):
        rows.clear()
        yield redis_server
    redis_server.restore()
    rows.clear()


@contextmanager
def _told_of_saves() -> Iterator[None]:
    models = [APIKey, LoginSession, ServiceUser, *tables_of_users()]
    stamps.connect(models)
    try:
        yield
    finally:
        for model, signal_ in product(models, (post_save, post_delete)):
            assert signal_.disconnect(sender=model, dispatch_uid=stamps.UID)
