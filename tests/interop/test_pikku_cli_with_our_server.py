"""``pikku login``, ``whoami`` and ``logout`` with our server, and the file it shares with us."""

from __future__ import annotations

import json
import stat

import pytest

from tests.interop.conftest import OURS, PIKKU_CLI, Computer, DjangoHuman, Program, Server

pytestmark = pytest.mark.usefixtures("node_modules")


def begin(computer: Computer, server: Server) -> tuple[Program, str]:
    """``pikku login``, which waits, and the page that it points at."""
    program = computer.start(*PIKKU_CLI, "login", "--url", f"{server.url}/")
    return program, program.read(r"^    (http.*)$")


@pytest.fixture
def pikku_logged_in(computer: Computer, our_server: Server, ada: DjangoHuman) -> Computer:
    program, page = begin(computer, our_server)
    ada.approve_on_the_page(page)
    assert program.finish()[0] == 0
    return computer


@pytest.fixture
def we_logged_in(computer: Computer, our_server: Server, ada: DjangoHuman) -> Computer:
    program = computer.start(*OURS, "login", "--url", our_server.url, "--no-browser", "--json")
    ada.approve_on_the_page(program.read(r'"verification_uri_complete": "([^"]+)"'))
    assert program.finish()[0] == 0
    return computer


def test_pikku_login_ends_when_the_human_approves(
    computer: Computer, our_server: Server, ada: DjangoHuman
) -> None:
    program, page = begin(computer, our_server)
    ada.approve_on_the_page(page)
    status, out, err = program.finish()
    assert (status, err) == (0, "")
    assert f"✓ Logged in as ada@example.com on {our_server.url}" in out
    stored = computer.stored()
    assert stored["current"] == our_server.url
    entry = stored["sessions"][our_server.url]
    session = our_server.get_session(entry["accessToken"])
    assert entry["expiresAt"] == session["session"]["expiresAt"]
    assert entry["user"] == {key: session["user"][key] for key in ("id", "email", "name")}


def test_pikku_login_ends_when_the_human_denies(
    computer: Computer, our_server: Server, ada: DjangoHuman
) -> None:
    program, page = begin(computer, our_server)
    ada.deny_on_the_page(page)
    status, _, err = program.finish()
    assert (status, err) == (1, "Login was denied in the browser.\n")
    assert not computer.file.exists()


def test_we_read_what_pikku_login_wrote(pikku_logged_in: Computer, our_server: Server) -> None:
    status, out, _ = pikku_logged_in.run(*OURS, "whoami")
    assert status == 0
    assert out.startswith(f"ada on {our_server.url}")
    token = pikku_logged_in.run(*OURS, "token")[1].strip()
    assert token == pikku_logged_in.stored()["sessions"][our_server.url]["accessToken"]


def test_we_narrow_a_file_that_was_too_wide(pikku_logged_in: Computer) -> None:
    pikku_logged_in.file.chmod(0o644)
    assert pikku_logged_in.run(*OURS, "whoami")[0] == 0
    assert stat.S_IMODE(pikku_logged_in.file.stat().st_mode) == 0o600


def test_we_log_out_what_pikku_login_wrote(pikku_logged_in: Computer, our_server: Server) -> None:
    token = pikku_logged_in.stored()["sessions"][our_server.url]["accessToken"]
    assert pikku_logged_in.run(*OURS, "logout")[0] == 0
    assert our_server.get_session(token) is None
    assert pikku_logged_in.run(*PIKKU_CLI, "whoami")[1].startswith("Not logged in.")


def test_pikku_reads_what_we_wrote(we_logged_in: Computer, our_server: Server) -> None:
    status, out, _ = we_logged_in.run(*PIKKU_CLI, "whoami")
    assert status == 0
    assert out == f"Logged in as ada@example.com\n  Server : {our_server.url}\n"


def test_pikku_logs_out_what_we_wrote(we_logged_in: Computer, our_server: Server) -> None:
    assert we_logged_in.run(*PIKKU_CLI, "logout")[1] == f"✓ Logged out of {our_server.url}\n"
    assert we_logged_in.run(*OURS, "whoami")[0] == 4


def test_neither_touches_the_login_at_another_server(
    we_logged_in: Computer, our_server: Server, ada: DjangoHuman
) -> None:
    stored = we_logged_in.stored()
    other = {"baseURL": "https://other.example", "accessToken": "t0k3n", "tokenType": "Bearer"}
    stored["sessions"]["https://other.example"] = other
    we_logged_in.file.write_text(json.dumps(stored))
    program, page = begin(we_logged_in, our_server)
    ada.approve_on_the_page(page)
    assert program.finish()[0] == 0
    assert we_logged_in.stored()["sessions"]["https://other.example"] == other
    assert we_logged_in.run(*OURS, "logout")[0] == 0
    assert we_logged_in.stored() == {
        "sessions": {"https://other.example": other},
        "current": "https://other.example",
    }
