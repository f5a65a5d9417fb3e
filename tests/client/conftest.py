"""A home of one's own, and no environment that would change what the client does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pikku_auth.client.models import Login
from pikku_auth.client.store import Store
from tests.client.servers import TOKEN, DeviceServer, Server

KEY = "pka_KeyOfTheClientTests"
TOKEN_OF_CI = "pks_TokenOfCI0123456789"
KINDS_OF_PROXY = ("http", "https", "all", "ws", "wss", "socks", "no")
UNSET = [
    *(
        "PIKKU_API_KEY",
        "PIKKU_TOKEN",
        "PIKKU_KEY_HEADER",
        "PIKKU_URL",
        "NETRC",
        "CI",
        "SSH_CONNECTION",
        "SSH_TTY",
    ),
    *("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *(f"{kind}_proxy" for kind in KINDS_OF_PROXY),
    *(f"{kind}_proxy".upper() for kind in KINDS_OF_PROXY),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory of the test."""
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def store(home: Path) -> Store:
    return Store()


@pytest.fixture
def server() -> Iterator[DeviceServer]:
    with DeviceServer() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Another server: same host, another port, so another origin."""
    with Server() as running:
        yield running


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key in the environment."""
    monkeypatch.setenv("PIKKU_API_KEY", KEY)
    return KEY


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of a login in the environment."""
    monkeypatch.setenv("PIKKU_TOKEN", TOKEN_OF_CI)
    return TOKEN_OF_CI


def a_login(base_url: str = "https://app.example.com", **changes: object) -> Login:
    fields: dict[str, object] = {
        "base_url": base_url,
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_at": "2100-01-01T00:00:00.000Z",
        "user": {"id": "7", "email": "ada@example.com"},
        "obtained_at": "2026-11-23T00:00:00.000Z",
    }
    return Login(**{**fields, **changes})  # type: ignore[arg-type]
