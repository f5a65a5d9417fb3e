"""WebSockets as they are: real servers, a real client, a real Redis, several processes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection
from websockets.asyncio.client import connect as aconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.testing import key_headers
from tests.live.conftest import SECONDS, Server, running
from tests.live.layers import layers_of
from tests.logins import bearer, browser_of, logged_in

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS_TO_CLOSE = 5
"""What a nudge has, which takes far less than one; how long it takes is in docs/websockets.md."""

Mint = Callable[..., IssuedKey]
Headers = dict[str, str]


def opened(url: str, headers: Headers | None = None, **options: Any) -> ClientConnection:
    return connect(url, additional_headers=headers, open_timeout=SECONDS, proxy=None, **options)


def first_of(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(SECONDS))


def refusal_of(url: str, headers: Headers | None = None, **options: Any) -> Any:
    with pytest.raises(InvalidStatus) as refused:
        opened(url, headers, **options)
    return refused.value.response


def ticket_of(url: str, headers: Headers, **options: Any) -> list[str]:
    answer = requests.post(f"{url}/auth/ws-ticket", headers=headers, timeout=SECONDS, **options)
    assert answer.status_code == 200, answer.text
    protocols: list[str] = answer.json()["protocols"]
    return protocols


def code_of(socket: ClientConnection) -> int:
    """The code that the server closes an open socket with, before long."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(SECONDS_TO_CLOSE)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.fixture
def issued(mint: Mint) -> IssuedKey:
    return mint(scopes=["sandbox:read"])


@pytest.fixture
def login(ada: Any) -> IssuedLogin:
    return logged_in(ada)


class TestHandshakes:
    """Who gets in, and what the others are told."""

    def test_a_key_opens(self, server: Server, issued: IssuedKey) -> None:
        with opened(server.socket_url, key_headers(issued)) as socket:
            assert first_of(socket)["via"] == "api_key"

    def test_a_login_opens(self, server: Server, login: IssuedLogin) -> None:
        with opened(server.socket_url, bearer(login)) as socket:
            assert first_of(socket)["via"] == "login"

    def test_a_machines_ticket_opens_once(
        self, server: Server, other: Server, issued: IssuedKey
    ) -> None:
        protocols: Any = ticket_of(other.url, key_headers(issued))
        with opened(server.socket_url, subprotocols=protocols) as socket:
            assert (first_of(socket)["via"], socket.subprotocol) == ("api_key", "pikku-auth")
        refused = refusal_of(server.socket_url, subprotocols=protocols)
        assert refused.status_code in {401, 403}

    def test_a_pages_ticket_opens(self, server: Server, ada: Any) -> None:
        cookies = {name: morsel.value for name, morsel in browser_of(ada).cookies.items()}
        origin: Any = server.url
        protocols: Any = ticket_of(server.url, {"Origin": origin}, cookies=cookies)
        with opened(server.socket_url, subprotocols=protocols, origin=origin) as socket:
            assert first_of(socket)["via"] == "session"

    def test_a_bad_key_does_not(self, server: Server, issued: IssuedKey) -> None:
        revoke_key(issued.key)
        unknown = {"x-api-key": generate("pka").reveal()}
        for headers in (key_headers(issued), unknown, {"x-api-key": "nonsense"}, {}):
            assert refusal_of(server.socket_url, headers).status_code in {401, 403}

    def test_a_key_without_the_scope_does_not(self, server: Server, issued: IssuedKey) -> None:
        url = server.socket_url.replace("whoami", "write")
        assert refusal_of(url, key_headers(issued)).status_code == 403

    def test_a_page_of_another_site_does_not(self, server: Server, issued: IssuedKey) -> None:
        evil: Any = "https://evil.example"
        refused = refusal_of(server.socket_url, key_headers(issued), origin=evil)
        assert refused.status_code == 403

    def test_two_keys_do_not(self, server: Server, issued: IssuedKey) -> None:
        secret = issued.secret.reveal()
        twice: Any = [("x-api-key", secret), ("x-api-key", secret)]
        assert refusal_of(server.socket_url, twice).status_code in {401, 403}

    def test_uvicorn_tells_why(self, servers: dict[str, Server]) -> None:
        """Daphne can't: it answers 403 to whatever is not accepted."""
        refused = refusal_of(servers["uvicorn"].socket_url)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'
        assert json.loads(refused.body)["code"] == "not_authenticated"


@pytest.mark.parametrize("implementation", ["auto", "websockets", "websockets-sansio", "wsproto"])
def test_a_refusal_is_no_error_in_the_log_of_uvicorn(
    environment: dict[str, str], issued: IssuedKey, tmp_path: Path, implementation: str
) -> None:
    with running("uvicorn", environment, tmp_path / "log", "--ws", implementation) as server:
        for headers, status in (({}, 401), (key_headers(issued), 403)):
            url = server.socket_url.replace("whoami", "write")
            assert refusal_of(url, headers).status_code == status
        with opened(server.socket_url, key_headers(issued)) as socket:
            assert first_of(socket)["via"] == "api_key"
    assert "ERROR" not in server.log.read_text()


def test_of_sixteen_connections_with_one_ticket_one_opens(
    server: Server, other: Server, issued: IssuedKey
) -> None:
    protocols: Any = ticket_of(server.url, key_headers(issued))

    def attempt(number: int) -> bool:
        try:
            url = (server, other)[number % 2].socket_url
            with opened(url, subprotocols=protocols) as socket:
                return bool(first_of(socket))
        except InvalidStatus:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(attempt, range(16))) == {True: 1, False: 15}


class TestRevokingCloses:
    """Long before the hour is over after which it would be noticed anyway."""

    def test_a_command_closes_a_servers_socket(self, server: Server, issued: IssuedKey) -> None:
        with opened(server.socket_url, key_headers(issued)) as socket:
            first_of(socket)
            server.manage("revoke_key", issued.key.preview, "--no-input")
            assert code_of(socket) == 4401

    def test_one_server_closes_the_others_socket(
        self, server: Server, other: Server, login: IssuedLogin
    ) -> None:
        with opened(other.socket_url, bearer(login)) as socket:
            first_of(socket)
            answer = requests.post(
                f"{server.url}/auth/sign-out", headers=bearer(login), timeout=SECONDS
            )
            assert answer.json() == {"success": True}
            assert code_of(socket) == 4401

    def test_a_stopped_service_user_leaves_every_server(
        self, server: Server, other: Server, issued: IssuedKey
    ) -> None:
        headers = key_headers(issued)
        with (
            opened(server.socket_url, headers) as mine,
            opened(other.socket_url, headers) as theirs,
        ):
            first_of(mine), first_of(theirs)
            server.manage("deactivate_service_user", str(issued.key.service_user))
            assert (code_of(mine), code_of(theirs)) == (4401, 4401)

    def test_another_key_stays(self, server: Server, issued: IssuedKey, mint: Mint) -> None:
        revoked = mint()
        with opened(server.socket_url, key_headers(issued)) as socket:
            first_of(socket)
            server.manage("revoke_key", revoked.key.preview, "--no-input")
            socket.send('"still here?"')
            assert first_of(socket) == "still here?"


def test_it_is_told_though_others_hang_up_at_that_moment(
    server: Server, mint: Mint, settings: Any
) -> None:
    """Redis's layer may lose a message then: one in four, if it were sent once."""
    settings.CHANNEL_LAYERS = layers_of(str(connection.settings_dict["NAME"]))
    crowd = key_headers(mint())

    async def revoke_in_the_crowd(issued: IssuedKey) -> int | None:
        url, options = server.socket_url, {"open_timeout": SECONDS, "proxy": None}
        others = await asyncio.gather(
            *(aconnect(url, additional_headers=crowd, **options) for _ in range(30))
        )
        mine = await aconnect(url, additional_headers=key_headers(issued), **options)
        async with asyncio.timeout(SECONDS):
            for socket in (*others, mine):
                await socket.recv()
        leaving = asyncio.gather(*(socket.close() for socket in others))
        await asyncio.to_thread(in_a_thread, revoke_key, issued.key)
        await asyncio.wait_for(mine.wait_closed(), SECONDS_TO_CLOSE)
        await leaving
        return mine.close_code

    for _ in range(10):
        assert asyncio.run(revoke_in_the_crowd(mint())) == 4401


def test_two_hundred_sockets_at_once_keep_no_database_connection(
    server: Server, issued: IssuedKey
) -> None:
    if connection.vendor != "postgresql":
        pytest.exit("Set DATABASE_URL to a PostgreSQL: it counts its connections.", 1)

    async def open_and_count() -> int:
        headers = key_headers(issued)
        sockets = await asyncio.gather(
            *(
                aconnect(
                    server.socket_url,
                    additional_headers=headers,
                    open_timeout=SECONDS,
                    proxy=None,
                )
                for _ in range(200)
            )
        )
        async with asyncio.timeout(SECONDS):
            for socket in sockets:
                assert json.loads(await socket.recv())["via"] == "api_key"
        found = await asyncio.to_thread(in_a_thread, connections_of_servers)
        await asyncio.gather(*(socket.close() for socket in sockets))
        return found

    assert asyncio.run(open_and_count()) <= 2
    assert connections_of_servers() <= 2


def in_a_thread(act: Callable[..., Any], *args: Any) -> Any:
    """What ``act`` returns in a thread of its own, whose database connection goes with it."""
    try:
        return act(*args)
    finally:
        connection.close()


def connections_of_servers() -> int:
    """How many connections this database has, besides the one that asks and the tests' own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found: int = cursor.fetchone()[0]
    return found
