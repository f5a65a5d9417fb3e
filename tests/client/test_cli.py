"""login, whoami, status, logout and token: what they say, what they keep, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pikku_auth.client import cli
from pikku_auth.client.options import parser
from pikku_auth.client.store import Store
from tests.cases import in_turn
from tests.client.conftest import TOKEN_OF_CI, a_login
from tests.client.servers import (
    DENIED,
    DEVICE_CODE,
    EXPIRED,
    PENDING,
    TOKEN,
    USER_CODE,
    DeviceServer,
    Reply,
    Seen,
    Server,
    error,
    trickling,
    unused_url,
)

KEY = "pka_KeyOfTheClientTests"
OVER = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in which waiting takes no time."""
    moment = [1000.0]

    def sleep(seconds: float) -> None:
        moment[0] += seconds

    monkeypatch.setattr("pikku_auth.client.terminal.time.sleep", sleep)
    monkeypatch.setattr(cli.Terminal.__init__, "__kwdefaults__", {"clock": lambda: moment[0]})

    def run(*arguments: str) -> Done:
        code = cli.main(arguments)
        done = Done(code, *capsys.readouterr())
        assert DEVICE_CODE not in done.out + done.err
        assert arguments[:1] == ("token",) or TOKEN not in done.out + done.err
        assert KEY not in done.out + done.err
        return done

    return run


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIKKU_API_KEY", KEY)


def events(done: Done) -> list[Any]:
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_login_without_a_terminal_is_plain_lines(
    run: Run, server: DeviceServer, store: Store
) -> None:
    done = run("login", "--url", server.url)
    assert done.code == 0
    assert done.out == ""
    *lines, last = done.err.splitlines()
    assert lines == [
        "To log in, open this address in a browser:",
        f"{server.url}/device?user_code={USER_CODE}",
        "and compare this code:",
        USER_CODE,
        "Waiting for approval…",
    ]
    assert last.startswith(
        f"✓ Logged in to {server.url} as ada@example.com (expires 2100-01-02 03:04 UTC)."
    )
    assert last.endswith(f". Saved to {store.path}")


def test_a_login_is_kept_as_the_server_describes_it(
    run: Run, server: DeviceServer, store: Store
) -> None:
    run("login", "-u", f"{server.url}/")
    login = store.current()
    assert login is not None
    assert login.base_url == server.url
    assert login.access_token == TOKEN
    assert login.expires_at == "2100-01-02T03:04:05.000Z"
    assert login.user == {"id": "7", "email": "ada@example.com", "name": "Ada"}


def test_a_login_whose_owner_the_server_does_not_tell_is_kept_all_the_same(
    run: Run, server: DeviceServer, store: Store
) -> None:
    server.answer_auth("/get-session", Reply(500, raw=b""))
    done = run("login", "--url", server.url)
    login = store.current()
    assert done.code == 0
    assert "(it did not say as whom) (expires " in done.err
    assert login is not None
    assert login.user is None
    assert login.expires_at is not None


def test_a_login_may_be_without_an_expiry(run: Run, server: DeviceServer, store: Store) -> None:
    server.answer_auth("/device/token", Reply(body={"access_token": TOKEN}))
    server.answer_auth("/get-session", Reply(body=None))
    assert "expires" not in run("login", "--url", server.url).err
    login = store.current()
    assert login is not None
    assert login.expires_at is None


def test_login_as_json_is_two_events_and_no_token(run: Run, server: DeviceServer) -> None:
    done = run("login", "--url", server.url, "--json")
    assert done.err == ""
    assert events(done) == [
        {
            "event": "prompt",
            "verification_uri": f"{server.url}/device",
            "verification_uri_complete": f"{server.url}/device?user_code={USER_CODE}",
            "user_code": USER_CODE,
            "expires_in": 1800,
        },
        {
            "event": "logged_in",
            "url": server.url,
            "user": {"id": "7", "email": "ada@example.com", "name": "Ada"},
            "expires_at": "2100-01-02T03:04:05.000Z",
        },
    ]


@pytest.mark.parametrize(
    ("granted", "told"),
    [
        ({"scope": "a:b"}, "Not granted: c:d, e:*.\n"),
        ({"scope": "a:b c:d e:*"}, ""),
        ({"scope": "a:b c:d e:f"}, "Not granted: e:*.\n"),
        ({}, ""),
    ],
)
def test_login_says_which_scopes_were_not_granted(
    run: Run, server: DeviceServer, granted: dict[str, str], told: str
) -> None:
    server.answer_auth("/device/token", Reply(body={"access_token": TOKEN, **granted}))
    done = run("login", "--url", server.url, "--scope", "a:b c:d", "--scope", "e:*")
    assert done.code == 0
    assert done.err.partition("session.json\n")[2] == told


@pytest.mark.parametrize("client", ["--client-id", "--clientId"])
def test_login_says_who_asks_and_for_what(run: Run, server: DeviceServer, client: str) -> None:
    run("login", "--url", server.url, client, "ci", "--scope", "a:b c:d", "--scope", "e:f")
    assert server.to("/auth/device/code")[0].json == {"client_id": "ci", "scope": "a:b c:d e:f"}
    assert server.polls()[0].json["client_id"] == "ci"


@pytest.mark.parametrize("flag", ["--auth-path", "--authPath"])
def test_login_takes_another_auth_path(run: Run, flag: str) -> None:
    with DeviceServer(auth_path="/api/auth") as server:
        assert run("login", "--url", server.url, flag, "/api/auth").code == 0


@pytest.mark.parametrize("flag", ["--no-browser", "--no-open"])
def test_login_takes_both_names_of_the_flag(run: Run, server: DeviceServer, flag: str) -> None:
    assert run("login", "--url", server.url, flag).code == 0


def test_the_url_is_that_of_the_environment(
    run: Run, server: DeviceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIKKU_URL", server.url)
    assert run("login").code == 0


def test_the_url_is_else_that_of_the_last_login(
    run: Run, server: DeviceServer, store: Store
) -> None:
    store.save(a_login(server.url))
    assert run("login").code == 0


@pytest.mark.parametrize("arguments", [["login"], ["login", "--json"]])
def test_without_a_url_nobody_is_asked(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (1, "")
    assert "Which server? Write --url https://app.example.com, or set PIKKU_URL." in done.err


@pytest.mark.parametrize(
    ("given", "suggested"),
    [
        ("app.example.com", "https://app.example.com"),
        ("app.example.com:8443/x", "https://app.example.com:8443/x"),
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_url_without_a_scheme_gets_one_suggested(run: Run, given: str, suggested: str) -> None:
    assert f"Write the whole address: {suggested}\n" in run("login", "--url", given).err


def test_login_in_ci_fails_at_once_and_says_what_to_set(
    run: Run, server: DeviceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    done = run("login", "--url", server.url)
    assert (done.code, server.seen) == (1, [])
    assert "set PIKKU_API_KEY to a key, or PIKKU_TOKEN to the token of a login" in done.err
    assert run("login", "--url", server.url, "--json").code == 0


@pytest.mark.parametrize("where", ["home", "directory", "lock"])
def test_login_that_could_not_be_kept_asks_nobody(
    run: Run, server: DeviceServer, store: Store, where: str
) -> None:
    directory = store.path.parent
    if where == "home":
        directory.write_text("in the way")
    else:
        directory.mkdir(mode=0o700)
        (directory / "session.json.lock").mkdir()
    done = run("login", "--url", server.url)
    assert done.code == 1
    assert str(directory) in done.err
    assert server.seen == []


@pytest.mark.parametrize("variable", ["PIKKU_API_KEY", "PIKKU_TOKEN"])
def test_login_stops_while_a_credential_is_set(
    run: Run, server: DeviceServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, KEY)
    done = run("login", "--url", server.url)
    assert done.code == 1
    assert f"{variable} is set, and wins" in done.err
    assert server.seen == []


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (DENIED, "pikku-auth: Login was denied in the browser."),
        (EXPIRED, "pikku-auth: The code expired. Run login again."),
    ],
)
def test_a_login_that_is_denied_or_over_ends_with_3(
    run: Run, server: DeviceServer, store: Store, reply: Reply, line: str
) -> None:
    server.answer_auth("/device/token", PENDING, reply)
    done = run("login", "--url", server.url)
    assert done.code == 3
    assert done.err.splitlines()[-1] == line
    assert not store.path.exists()


def test_login_gives_up_when_it_was_told_to(run: Run, server: DeviceServer) -> None:
    server.answer_auth("/device/token", PENDING)
    done = run("login", "--url", server.url, "--timeout", "20")
    assert done.code == 3
    assert done.err.splitlines()[-1] == ("pikku-auth: Nobody approved it in time. Run login again.")
    assert len(server.polls()) == 3


def test_login_asks_no_longer_than_the_code_lives(run: Run, server: DeviceServer) -> None:
    server.answer_auth("/device/token", PENDING)
    done = run("login", "--url", server.url, "--timeout", "99999")
    assert done.code == 3
    assert done.err.splitlines()[-1] == "pikku-auth: The code expired. Run login again."


def test_what_a_server_writes_is_harmless(run: Run, server: DeviceServer) -> None:
    user = {"email": "\x1b[31mada\x9b\u2066\u3164" + "x" * 900_000, "name": ["\x1b[2J"], "id": None}
    session = {"expiresAt": "\x1b[2J"}
    server.answer_auth("/get-session", Reply(body={"user": user, "session": session}))
    done = run("login", "--url", server.url)
    assert done.code == 0
    lines = done.err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert "as [31madax" in lines[-1]
    assert len(lines[-1]) < 1_000
    assert run("whoami").out.startswith("[31madax")


def test_a_page_of_another_server_is_pointed_out(run: Run, server: DeviceServer) -> None:
    server.answer_auth("/device/code", server.codes(verification_uri="https://evil.test/device"))
    assert "Take care: this address is not at" in run("login", "--url", server.url).err


@pytest.mark.parametrize(
    ("command", "url"),
    in_turn(
        ["login", "whoami", "logout", "token"],
        ["http://example.test", "example.test", "https://ada:secret@example.test"],
    ),
)
def test_an_address_that_is_not_safe_is_refused(run: Run, command: str, url: str) -> None:
    done = run(command, "--url", url)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert "secret" not in done.err


def test_a_store_that_can_not_be_used_is_known_before_anybody_approves(
    run: Run, server: DeviceServer, home: Path
) -> None:
    (home / ".pikku").symlink_to(home)
    done = run("login", "--url", server.url)
    assert done.code == 1
    assert server.seen == []


@pytest.mark.parametrize(
    "interruption", [OSError(28, "No space left on device"), KeyboardInterrupt]
)
def test_a_token_that_can_not_be_kept_is_revoked(
    run: Run,
    server: DeviceServer,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    interruption: BaseException,
) -> None:
    def interrupt(*arguments: object) -> None:
        raise interruption

    monkeypatch.setattr("pikku_auth.client.files.replace_private", interrupt)
    done = run("login", "--url", server.url)
    assert done.code in {1, 130}
    assert server.to("/auth/sign-out")[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert not store.path.exists()


def test_whoami_says_who_where_and_by_what(run: Run, server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    done = run("whoami")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"ada@example.com on {server.url} (expires 2100-01-02 03:04 UTC),")
    assert done.out.endswith(f"), by the login in {store.path}\n")


def test_whoami_as_json(run: Run, server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    assert events(run("whoami", "--json")) == [
        {
            "url": server.url,
            "user": {"id": "7", "email": "ada@example.com", "name": "Ada"},
            "source": str(store.path),
            "expires_at": "2100-01-02T03:04:05.000Z",
        }
    ]


def test_whoami_notes_that_the_server_has_prolonged_the_login(
    run: Run, server: DeviceServer, store: Store
) -> None:
    store.save(a_login(server.url, expires_at="2026-01-01T00:00:00.000Z"))
    assert run("whoami").code == 0
    assert store.current() == a_login(server.url, expires_at="2100-01-02T03:04:05.000Z")


def test_whoami_when_the_server_says_little(run: Run, server: DeviceServer, store: Store) -> None:
    server.answer_auth("/get-session", Reply(body={"session": {"id": "1"}}))
    store.save(a_login(server.url))
    assert run("whoami").out.startswith(f"(unknown user) on {server.url} (expires ")


def test_whoami_asks_the_server_that_is_named(run: Run, server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    store.save(a_login("https://app.example.com"))
    assert run("whoami", "--url", server.url).out.startswith("ada@example.com on")


def test_whoami_with_a_key_asks_nobody(
    run: Run, server: DeviceServer, store: Store, with_key: None
) -> None:
    store.save(a_login(server.url))
    assert run("whoami") == Done(
        0, "an API key from PIKKU_API_KEY (not checked: name a server with --url)\n", ""
    )
    assert events(run("whoami", "--json"))[0]["source"] == "PIKKU_API_KEY"
    assert server.seen == []


KEY_OF_CI = {
    "via": "api_key",
    "user": "sandbox-runtime",
    "service_user": "sandbox-runtime",
    "scopes": ["sandbox:read", "sandbox:write"],
    "expires_at": "2100-01-02T03:04:05+00:00",
    "key": {"start": "pka_KeyOfThe", "name": "ci", "rate": None, "remaining": 41},
}


def test_whoami_with_a_key_and_a_server_asks_what_the_key_is(
    run: Run, server: DeviceServer, with_key: None
) -> None:
    server.answer_auth("/whoami", Reply(body=KEY_OF_CI))
    done = run("whoami", "--url", server.url)
    assert done.out == (
        "sandbox-runtime: key pka_KeyOfThe… “ci”, scopes sandbox:read sandbox:write, "
        f"expires 2100-01-02 03:04 UTC, 41 calls left on {server.url}, "
        "by the API key in PIKKU_API_KEY\n"
    )
    assert server.seen[-1].headers["x-api-key"] == KEY
    [told] = events(run("whoami", "--json", "--url", server.url))
    assert told["scopes"] == KEY_OF_CI["scopes"]
    assert (told["source"], told["user"]) == ("PIKKU_API_KEY", "sandbox-runtime")


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(401, {"detail": "Invalid API key."}), 4, "refuses this key. Invalid API key."),
        (Reply(403, {"detail": "Not from this network."}), 4, "Not from this network."),
        (Reply(401, raw=b""), 4, "It answered 401."),
        (Reply(404, raw=b""), 1, "Is --auth-path right?"),
        (Reply(200, {"scopes": []}), 1, "Asking what this key is failed"),
        (Reply(200, {"via": "api_key", "key": 7, "scopes": 7, "expires_at": 7}), 0, ""),
    ],
)
def test_whoami_with_a_key_says_what_the_server_makes_of_it(
    run: Run, server: DeviceServer, with_key: None, reply: Reply, code: int, words: str
) -> None:
    server.answer_auth("/whoami", reply)
    done = run("whoami", "--url", server.url)
    assert done.code == code
    assert words in done.err


def test_key_needs_no_home(
    run: Run, server: DeviceServer, with_key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    server.answer_auth("/whoami", Reply(body=KEY_OF_CI))
    assert run("whoami", "--url", server.url).code == 0
    monkeypatch.delenv("PIKKU_API_KEY")
    assert "This user has no home directory: set HOME." in run("whoami").err


def test_whoami_with_what_can_not_be_a_key_ends_with_4(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIKKU_API_KEY", "two words")
    done = run("whoami")
    assert (done.code, done.out) == (4, "")
    assert "two words" not in done.err


def test_whoami_with_a_token_asks_nobody_without_a_server(
    run: Run, server: DeviceServer, store: Store, token: str
) -> None:
    store.save(a_login(server.url))
    assert run("whoami") == Done(
        0, "a login token from PIKKU_TOKEN (not checked: name a server with --url)\n", ""
    )
    assert events(run("whoami", "--json")) == [
        {"url": None, "user": None, "source": "PIKKU_TOKEN", "expires_at": None}
    ]
    assert server.seen == []


def test_whoami_with_a_token_and_a_server_asks_whose_it_is(
    run: Run, server: DeviceServer, store: Store, token: str
) -> None:
    done = run("whoami", "--url", server.url)
    assert done == Done(
        0,
        f"ada@example.com on {server.url} (expires 2100-01-02 03:04 UTC), "
        "by the token in PIKKU_TOKEN\n",
        "",
    )
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN_OF_CI}"
    [told] = events(run("whoami", "--json", "--url", server.url))
    assert (told["source"], told["user"]["email"]) == ("PIKKU_TOKEN", "ada@example.com")
    assert not store.path.exists()


def test_whoami_with_a_token_that_is_not_good_ends_with_4(
    run: Run, server: DeviceServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    server.answer_auth("/get-session", Reply(body=None))
    done = run("whoami", "--url", server.url)
    assert (done.code, done.out) == (4, "")
    assert done.err.endswith("Set PIKKU_TOKEN to the token of a live login.\n")
    monkeypatch.setenv("PIKKU_TOKEN", f"Bearer {TOKEN}")
    done = run("whoami", "--url", server.url)
    assert done == Done(
        4,
        "",
        "pikku-auth: PIKKU_TOKEN is not a token: it begins with “Bearer”. Write the token alone.\n",
    )


def test_a_key_wins_over_a_token(run: Run, with_key: None, token: str) -> None:
    assert "PIKKU_API_KEY" in run("whoami").out


@pytest.mark.parametrize("command", ["whoami", "token"])
@pytest.mark.parametrize("arguments", [[], ["--url", "https://app.example.com"]])
def test_without_a_login_it_ends_with_4(run: Run, command: str, arguments: list[str]) -> None:
    done = run(command, *arguments)
    assert (done.code, done.out) == (4, "")
    assert "Run: pikku-auth login --url" in done.err


@pytest.mark.parametrize("reply", [Reply(body=None), Reply(401, body={})])
def test_whoami_ends_with_4_when_the_server_refuses(
    run: Run, server: DeviceServer, store: Store, reply: Reply
) -> None:
    server.answer_auth("/get-session", reply)
    store.save(a_login(server.url))
    done = run("whoami")
    assert (done.code, done.out) == (4, "")
    assert f"Run: pikku-auth login --url {server.url}" in done.err
    assert store.current() == a_login(server.url)


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503])
def test_whoami_ends_with_1_when_the_server_has_trouble(
    run: Run, server: DeviceServer, store: Store, status: int
) -> None:
    server.answer_auth("/get-session", Reply(status, {"message": f"No {TOKEN}\x1b[31m"}))
    store.save(a_login(server.url))
    before = store.path.read_bytes()
    done = run("whoami")
    assert (done.code, done.out) == (1, "")
    assert f"({status}): No …[31m" in done.err
    assert store.path.read_bytes() == before


def test_whoami_ends_with_1_when_the_server_is_away(run: Run, store: Store) -> None:
    store.save(a_login(unused_url()))
    before = store.path.read_bytes()
    assert run("whoami").code == 1
    assert store.path.read_bytes() == before


def test_whoami_gives_up_when_it_was_told_to(run: Run, store: Store) -> None:
    with trickling() as url:
        store.save(a_login(url))
        done = run("whoami", "--timeout", "0.3")
    assert done.code == 1
    assert "no answer in time" in done.err


@pytest.mark.parametrize("command", ["whoami", "token", "logout"])
def test_a_stored_token_that_can_not_be_one_is_not_sent(
    run: Run, server: DeviceServer, store: Store, command: str
) -> None:
    store.save(a_login(server.url, access_token="one\r\nX-Two: 2"))
    done = run(command)
    assert done.code == (0 if command == "logout" else 1)
    assert "X-Two" not in done.err + done.out
    assert server.seen == []


def test_logout_tells_the_server_and_then_forgets(
    run: Run, server: DeviceServer, store: Store
) -> None:
    stored: list[object] = []
    server.on_request = lambda seen: stored.append(store.current())
    store.save(a_login(server.url))
    done = run("logout")
    assert done == Done(0, "", f"✓ Logged out of {server.url}\n")
    [seen] = server.to("/auth/sign-out")
    assert seen.method == "POST"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert stored == [a_login(server.url)]
    assert store.current() is None


def test_logout_leaves_other_logins(run: Run, server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    store.save(a_login("https://app.example.com"))
    run("logout", "--url", server.url)
    assert store.find(server.url) is None
    assert store.current() == a_login("https://app.example.com")


def test_logout_without_a_login_is_no_error(run: Run, store: Store) -> None:
    assert run("logout") == Done(0, "", "No login to log out of.\n")
    assert run("logout", "--url", "https://app.example.com").code == 0


@pytest.mark.parametrize("base_url", [unused_url, lambda: "http://app.example.com"])
def test_logout_forgets_when_the_server_can_not_be_told(
    run: Run, store: Store, base_url: Callable[[], str]
) -> None:
    store.save(a_login(base_url()))
    done = run("logout")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Warning: the server was not told")
    assert store.current() is None


def test_logout_forgets_when_the_server_has_trouble(
    run: Run, server: DeviceServer, store: Store
) -> None:
    server.answer_auth("/sign-out", error("server_error", "Try later", 500))
    store.save(a_login(server.url))
    done = run("logout")
    assert done.code == 0
    assert "Signing out failed (500): Try later" in done.err
    assert store.current() is None


def test_logout_says_that_a_key_stays(
    run: Run, server: DeviceServer, store: Store, with_key: None
) -> None:
    store.save(a_login(server.url))
    assert "PIKKU_API_KEY stays set" in run("logout").err
    assert server.to("/auth/sign-out")[0].headers.get("x-api-key") is None


def test_logout_says_that_a_token_stays(run: Run, token: str) -> None:
    assert "PIKKU_TOKEN stays set" in run("logout").err


def test_logout_of_all_ends_each_login(
    run: Run, server: DeviceServer, elsewhere: Server, store: Store
) -> None:
    store.save(a_login(elsewhere.url))
    store.save(a_login(server.url))
    done = run("logout", "--all")
    assert (done.code, done.out) == (0, "")
    first, *_, last = done.err.splitlines()
    assert first.startswith("Warning: the server was not told")
    assert last == f"✓ Logged out of {server.url}"
    assert len(server.to("/auth/sign-out")) == 1
    assert store.logins() == []
    assert run("logout", "--all") == Done(0, "", "No login to log out of.\n")


def test_logout_of_all_and_of_one_is_wrong_usage(run: Run) -> None:
    done = run("logout", "--all", "--url", "https://app.example.com")
    assert done == Done(2, "", "pikku-auth: --all is every server: leave out --url.\n")


class TestStatus:
    def test_each_server_says_whose_login_it_has(
        self, run: Run, server: DeviceServer, store: Store
    ) -> None:
        scopes = ["auth:mint", "sandbox:read"]
        server.answer_auth("/get-session", server.session(scopes=scopes))
        away = unused_url()
        store.save(a_login(away))
        store.save(a_login(server.url))
        done = run("status")
        assert (done.code, done.err) == (0, "")
        assert done.out == (
            f"{away}\n"
            f"  ada@example.com: Can't reach {away}: the connection to port "
            f"{away.rpartition(':')[2]} was refused.\n"
            f"{server.url} (current)\n"
            "  ada@example.com, scopes auth:mint sandbox:read (expires 2100-01-02 03:04 UTC)\n"
        )

    @pytest.mark.parametrize(
        ("session", "words"),
        [({"scopes": []}, "ada@example.com, no scopes (expires"), ({}, "ada@example.com (expires")],
    )
    def test_a_server_may_say_less(
        self, run: Run, server: DeviceServer, store: Store, session: Any, words: str
    ) -> None:
        server.answer_auth("/get-session", server.session(**session))
        store.save(a_login(server.url))
        assert words in run("status").out

    def test_a_login_that_is_over_is_told_with_what_to_run(
        self, run: Run, server: DeviceServer, store: Store
    ) -> None:
        server.answer_auth("/get-session", Reply(body=None))
        store.save(a_login(server.url, user=None))
        assert run("status").out.endswith(
            f"  (unknown user): {server.url} doesn't know this login. "
            f"Run: pikku-auth login --url {server.url}\n"
        )

    def test_as_json_it_is_an_object_for_each(
        self, run: Run, server: DeviceServer, elsewhere: Server, store: Store
    ) -> None:
        server.answer_auth("/get-session", server.session(scopes=["sandbox:read"]))
        elsewhere.answer("/auth/get-session", Reply(401))
        for url in (server.url, elsewhere.url, unused_url()):
            store.save(a_login(url))
        live, refused, unknown = events(run("status", "--json"))
        assert live == {
            "url": server.url,
            "current": False,
            "state": "live",
            "user": {"id": "7", "email": "ada@example.com", "name": "Ada"},
            "scopes": ["sandbox:read"],
            "expires_at": "2100-01-02T03:04:05.000Z",
            "detail": None,
        }
        assert (refused["state"], unknown["state"]) == ("refused", "unknown")
        assert (unknown["current"], unknown["scopes"]) == (True, None)
        assert "Can't reach" in unknown["detail"]

    def test_a_renewed_expiry_is_noted(self, run: Run, server: DeviceServer, store: Store) -> None:
        store.save(a_login(server.url, expires_at=OVER))
        assert run("status").code == 0
        assert store.current() == a_login(server.url, expires_at="2100-01-02T03:04:05.000Z")

    def test_without_a_login_it_ends_with_4(self, run: Run) -> None:
        assert run("status") == Done(
            4, "", "pikku-auth: No login is stored. Run: pikku-auth login --url URL\n"
        )

    def test_what_wins_over_the_logins_is_told(
        self, run: Run, server: DeviceServer, store: Store, token: str
    ) -> None:
        store.save(a_login(server.url))
        assert run("status").err == "PIKKU_TOKEN is set, and wins over what is stored.\n"


def test_token_prints_the_token_alone(run: Run, store: Store) -> None:
    store.save(a_login("https://app.example.com"))
    assert run("token") == Done(0, f"{TOKEN}\n", "")
    assert run("token", "--url", "https://APP.example.com/").out == f"{TOKEN}\n"


def test_token_with_a_key_and_no_login_says_that_there_is_none(run: Run, with_key: None) -> None:
    assert run("token") == Done(
        4, "", "pikku-auth: PIKKU_API_KEY is a key, not a login: there is no token to print.\n"
    )


def test_token_of_the_environment_wins_over_the_stored_one(
    run: Run, store: Store, token: str
) -> None:
    store.save(a_login("https://app.example.com"))
    assert run("token") == Done(0, f"{TOKEN_OF_CI}\n", "")


def test_token_of_a_stored_login_is_printed_whatever_key_is_set(
    run: Run, store: Store, with_key: None
) -> None:
    store.save(a_login("https://app.example.com"))
    assert run("token").out == f"{TOKEN}\n"


def test_token_of_a_login_that_the_server_has_renewed_is_printed(
    run: Run, server: DeviceServer, store: Store
) -> None:
    store.save(a_login(server.url, expires_at=OVER))
    assert run("token") == Done(0, f"{TOKEN}\n", "")
    renewed = store.current()
    assert renewed
    assert renewed.expires_at == "2100-01-02T03:04:05.000Z"
    asked = len(server.seen)
    assert run("token").code == 0
    assert len(server.seen) == asked


def test_token_of_an_expired_login_ends_with_4(
    run: Run, server: DeviceServer, store: Store
) -> None:
    server.answer_auth("/get-session", Reply(body=None))
    store.save(a_login(server.url, expires_at=OVER))
    done = run("token")
    assert (done.code, done.out) == (4, "")
    assert f"doesn't know this login. Run: pikku-auth login --url {server.url}" in done.err


def test_a_damaged_store_is_reported_on_stderr(run: Run, store: Store) -> None:
    store.path.parent.mkdir()
    store.path.write_text("{")
    done = run("token")
    assert (done.code, done.out) == (4, "")
    assert "is damaged, so no login is read from it. Log in again." in done.err
    assert store.path.read_text() == "{"


def test_no_traceback_unless_one_asks_for_it(run: Run) -> None:
    assert "Traceback" not in run("whoami").err
    assert "Traceback" in run("whoami", "--debug").err


def test_ctrl_c_says_so_and_ends_with_130(
    run: Run, server: DeviceServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pikku_auth.client.terminal.time.sleep", interrupt)
    done = run("login", "--url", server.url)
    assert done.code == 130
    assert done.err.endswith("\n\nCancelled.\n")
    assert server.to("/auth/device/token") == []
    assert not store.path.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["login", "--timeout", "0"],
        ["login", "--timeout", "nan"],
        ["login", "--timeout", "soon"],
        ["login", "--no-b"],
        ["whoami", "--scope", "x"],
        ["token", "--json"],
        ["status", "--url", "https://app.example.com"],
        ["keys"],
        ["keys", "fly"],
        ["keys", "mint", "--rate", "soon"],
        ["keys", "mint", "--quota", "0"],
        ["keys", "mint", "--metadata", "[]"],
        ["keys", "rotate", "7", "--overlap", "1h", "--revoke-now"],
        ["keys", "revoke"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


COMMANDS = ("login", "whoami", "status", "logout", "token", "keys")


def test_alone_it_shows_the_help_and_ends_with_2(run: Run) -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert all(f"    {command} " in done.err for command in COMMANDS)


def test_a_timeout_that_is_no_number_is_told_what_to_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["login", "--timeout", "soon"])
    assert "argument --timeout: write a number of seconds\n" in capsys.readouterr().err


def test_the_help_of_login_has_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["login", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "default: PIKKU_URL, else the last login" in out
    assert "what the human is told is asking; default: pikku-cli" in out
    assert "open no browser, only print the address" in out


@pytest.mark.parametrize("arguments", [["--help"], ["login", "--help"], ["token", "--help"]])
def test_the_help_has_every_exit_status(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n  {code} " in out for code in (0, 1, 2, 3, 4, 130, 141))


def options_of(command: argparse.ArgumentParser) -> Iterator[str]:
    """The options of a command, and of those below it."""
    for action in command._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options_of(below)


def test_no_option_takes_a_secret() -> None:
    options = set(options_of(parser()))
    words = ("key", "token", "secret", "password")
    assert "--url" in options
    assert not [option for option in options if any(word in option for word in words)]


def test_a_stdout_that_can_not_be_written_ends_with_1(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(a_login("https://app.example.com"))
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        done = run("token")
    assert done.code == 1
    assert done.err == "pikku-auth: No space left on device.\n"


def test_a_stdout_that_is_closed_ends_with_1(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(a_login("https://app.example.com"))
    monkeypatch.setattr(sys, "stdout", None)
    assert run("token").code == 1


def test_without_stderr_it_still_works(
    run: Run, server: DeviceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert run("login", "--url", server.url).code == 0


def test_no_call_has_a_cookie_or_takes_one(run: Run, server: DeviceServer) -> None:
    session = server.session()
    cookie = Reply(200, session.body, {"Set-Cookie": "better-auth.session_token=x; Path=/"})
    server.answer_auth("/get-session", cookie)
    run("login", "--url", server.url)
    run("whoami")
    run("logout")

    def has_cookie(seen: Seen) -> bool:
        return "cookie" in seen.headers

    assert len(server.seen) == 5
    assert not any(map(has_cookie, server.seen))


def test_a_login_is_no_login_elsewhere(run: Run, server: DeviceServer, elsewhere: Server) -> None:
    run("login", "--url", server.url)
    assert run("whoami", "--url", elsewhere.url).code == 4
    assert elsewhere.seen == []
