"""``pikku-auth`` against a real better-auth server, of both lines that are in use."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.conftest import OURS, BetterAuthHuman, Computer, Program, Server


@pytest.fixture(scope="module")
def server(better_auth: Callable[..., Any]) -> Iterator[Server]:
    with better_auth(interval="1s") as server:
        yield server


def begin(computer: Computer, url: str) -> tuple[Program, Any]:
    """A login that waits, and what it asks of the human."""
    program = computer.start(*OURS, "login", "--url", url, "--no-browser", "--json")
    return program, json.loads(program.read(r"(.*)"))


@pytest.fixture
def logged_in(computer: Computer, server: Server) -> Computer:
    program, prompt = begin(computer, server.url)
    BetterAuthHuman(server.url).approve(prompt["user_code"])
    assert program.finish()[0] == 0
    return computer


def test_login_says_where_to_go_and_ends_when_the_human_approves(
    computer: Computer, server: Server
) -> None:
    program, prompt = begin(computer, server.url)
    code = prompt["user_code"]
    assert prompt == {
        "event": "prompt",
        "verification_uri": f"{server.url}/device",
        "verification_uri_complete": f"{server.url}/device?user_code={code}",
        "user_code": code,
        "expires_in": prompt["expires_in"],
    }
    BetterAuthHuman(server.url).approve(code)
    status, out, err = program.finish()
    assert (status, err) == (0, "")
    end = json.loads(out)
    assert (end["event"], end["url"]) == ("logged_in", server.url)
    assert end["user"]["email"] == BetterAuthHuman.email


def test_login_prints_the_code_for_a_human(computer: Computer, server: Server) -> None:
    program = computer.start(*OURS, "login", "--url", server.url, "--no-browser")
    assert program.process.stderr
    lines = [program.process.stderr.readline().strip() for _ in range(4)]
    assert lines[1] == f"{server.url}/device?user_code={lines[3]}"
    BetterAuthHuman(server.url).approve(lines[3])
    status, out, err = program.finish()
    assert (status, out) == (0, "")
    assert "✓ Logged in" in err


def test_login_is_kept_in_the_shape_that_is_shared(logged_in: Computer, server: Server) -> None:
    stored = logged_in.stored()
    assert stored["current"] == server.url
    [(key, entry)] = stored["sessions"].items()
    assert key == entry["baseURL"] == server.url
    assert entry["tokenType"] == "Bearer"
    assert entry["user"]["email"] == BetterAuthHuman.email
    assert entry["user"]["name"] == "Ada"
    assert entry["expiresAt"] == server.get_session(entry["accessToken"])["session"]["expiresAt"]
    assert entry["obtainedAt"] < entry["expiresAt"]
    assert stat.S_IMODE(logged_in.file.stat().st_mode) == 0o600


def test_whoami_names_the_human(logged_in: Computer, server: Server) -> None:
    status, out, err = logged_in.run(*OURS, "whoami")
    assert (status, err) == (0, "")
    assert out.startswith(f"{BetterAuthHuman.email} on {server.url}")


def test_token_is_one_that_the_server_takes(logged_in: Computer, server: Server) -> None:
    status, out, err = logged_in.run(*OURS, "token")
    assert (status, err) == (0, "")
    assert server.get_session(out.strip())["user"]["email"] == BetterAuthHuman.email


def test_logout_ends_the_session_on_the_server(logged_in: Computer, server: Server) -> None:
    token = logged_in.run(*OURS, "token")[1].strip()
    status, out, err = logged_in.run(*OURS, "logout")
    assert (status, out, err) == (0, "", f"✓ Logged out of {server.url}\n")
    assert server.get_session(token) is None
    assert not logged_in.file.exists()


def test_whoami_notices_that_the_session_was_ended_elsewhere(
    logged_in: Computer, computer: Computer, server: Server
) -> None:
    content = computer.file.read_text()
    assert computer.run(*OURS, "logout")[0] == 0
    computer.file.write_text(content)
    status, out, err = computer.run(*OURS, "whoami")
    assert (status, out) == (4, "")
    assert "login" in err


def test_login_that_is_denied_ends_and_stores_nothing(computer: Computer, server: Server) -> None:
    program, prompt = begin(computer, server.url)
    BetterAuthHuman(server.url).deny(prompt["user_code"])
    status, out, err = program.finish()
    assert (status, out) == (3, "")
    assert "Login was denied in the browser." in err
    assert not computer.file.exists()


def test_login_that_nobody_approves_ends(
    computer: Computer, better_auth: Callable[..., Any]
) -> None:
    with better_auth(interval="1s", expiresIn="3s") as server:
        program, _ = begin(computer, server.url)
        status, out, err = program.finish()
    assert (status, out) == (3, "")
    assert "The code expired. Run login again." in err


def test_login_goes_on_after_it_was_told_to_slow_down(
    computer: Computer, better_auth: Callable[..., Any]
) -> None:
    with better_auth(interval="1.9s") as server:  # which announces 1, and enforces 1.9
        program, prompt = begin(computer, server.url)
        server.wait_for("/device/token slow_down")
        BetterAuthHuman(server.url).approve(prompt["user_code"])
        assert program.finish()[0] == 0


def test_wrong_path_of_the_server_is_explained(computer: Computer, server: Server) -> None:
    status, out, err = computer.run(
        *OURS, "login", "--url", server.url, "--auth-path", "/api/auth", "--no-browser"
    )
    assert (status, out) == (1, "")
    assert "--auth-path" in err
