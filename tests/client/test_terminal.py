"""What a human sees in a real terminal, and when a browser opens."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from pikku_auth.client import browser, cli
from pikku_auth.client.origins import origin_of
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal, Waiting
from pikku_auth.client.text import printable
from tests.client.servers import PENDING, TOKEN, USER_CODE, DeviceServer, Reply
from tests.processes import PATIENCE, read_until, running

SEEN = {"DISPLAY": ":0"}
STARTED = 1000.0


@dataclass(frozen=True)
class Screen:
    """The other end of a terminal."""

    master: int
    goes_on: Callable[[], bool] = lambda: True

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read_until(self, text: str) -> str:
        """All that is shown up to and with ``text``."""
        return read_until(self.master, text, goes_on=self.goes_on)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """This process talks in a terminal."""
    master, slave = pty.openpty()
    tty.setraw(slave, 0)
    monkeypatch.setenv("TERM", "xterm")
    with open(os.dup(slave)) as stdin, open(slave, "w") as stderr:  # noqa: PTH123
        streams = SimpleNamespace(stdin=stdin, stdout=None, stderr=stderr, platform=sys.platform)
        monkeypatch.setattr("pikku_auth.client.terminal.sys", streams)  # pytest sets sys.stderr
        yield Screen(master)
    os.close(master)


def test_the_status_line_is_drawn_over_itself(screen: Screen) -> None:
    terminal = Terminal()
    terminal.status("a long line")
    terminal.status("short")
    terminal.clear()
    terminal.clear()
    terminal.say("end")
    shown = screen.read_until("end\n")
    assert shown == "\ra long line\rshort      \r     \rend\n"


def test_a_line_takes_the_status_line_away(screen: Screen) -> None:
    terminal = Terminal()
    terminal.status("status")
    terminal.say("line")
    assert screen.read_until("line\n") == "\rstatus\r      \rline\n"


def test_a_dumb_terminal_has_no_status_line(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    terminal.status("status")
    terminal.say("line")
    assert screen.read_until("line\n") == "line\n"


def test_enter_is_heard_without_waiting_for_it(screen: Screen) -> None:
    terminal = Terminal()
    assert not terminal.entered(0)
    screen.type(b"\n")
    assert terminal.entered(60)


def test_nothing_is_heard_after_the_end_of_input(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("pikku_auth.client.terminal.time.sleep", slept.append)
    monkeypatch.setattr(os, "read", lambda number, length: b"")  # as after Ctrl-D
    terminal = Terminal()
    screen.type(b"x")
    assert not terminal.entered(60)
    assert not terminal.entered(7)
    assert slept == [7]


def test_the_time_that_is_left_is_drawn_once_a_second(screen: Screen) -> None:
    now = [STARTED]
    terminal = Terminal(clock=lambda: now[0])

    def entered(seconds: float) -> bool:
        now[0] += seconds
        return False

    terminal.entered = entered  # type: ignore[method-assign]
    waiting = Waiting(terminal, STARTED + 62, lambda: None, lambda: None)
    waiting.sleep(2.5)
    now[0] += 100
    waiting.sleep(1)
    shown = screen.read_until("0:00").split("\r")[1:]
    assert [line.strip() for line in shown] == [
        f"Waiting for approval… expires in {left}" for left in ("1:02", "1:01", "1:00", "0:00")
    ]


def login_in(
    screen: Screen,
    server: DeviceServer,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str] | None = None,
    **options: str,
) -> tuple[int, str]:
    """Run login here, with Enter typed, until the code has expired, which takes no time."""
    now, entered = [STARTED], Terminal.entered

    def entered_by_now(terminal: Terminal, seconds: float) -> bool:
        now[0] += seconds
        return entered(terminal, 0)

    monkeypatch.setattr(Terminal, "entered", entered_by_now)
    monkeypatch.setitem(Terminal.__init__.__kwdefaults__, "clock", lambda: now[0])
    for name, value in {**SEEN, **options}.items():
        monkeypatch.setenv(name, value)
    codes = server.codes(expires_in=0.3)
    server.answer_auth("/device/code", Reply(body=codes.body | (changes or {})))
    screen.type(b"\n")
    code = cli.main(["login", "--url", server.url])
    return code, screen.read_until("Run login again.")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was asked to open."""
    urls: list[str] = []
    monkeypatch.setattr(browser.Opener, "open", lambda self: urls.append(self._url))
    return urls


def test_enter_opens_the_page_with_the_code_in_it(
    screen: Screen, server: DeviceServer, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = login_in(screen, server, monkeypatch)
    assert code == 3
    assert opened == [f"{server.url}/device?user_code={USER_CODE}"]
    assert f"First copy your one-time code: {USER_CODE}\n" in shown
    assert f"Press Enter to open {server.url}/device in your browser" in shown
    assert "Waiting for approval… expires in 0:00" in shown


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize("url", ["https://evil.test/device", "http://localhost:1/device"])
def test_no_page_of_another_server_opens(
    screen: Screen,
    server: DeviceServer,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    url: str,
) -> None:
    code, shown = login_in(screen, server, monkeypatch, {name: url})
    assert code == 3
    assert opened == []
    assert f"Take care: this address is not at {server.url}." in shown


@pytest.mark.parametrize(
    "options",
    [{"SSH_CONNECTION": "x"}, {"SSH_TTY": "/dev/pts/1"}, {"CI": "true"}, {"DISPLAY": ""}],
)
def test_nothing_opens_where_nobody_would_see_it(
    screen: Screen,
    server: DeviceServer,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
) -> None:
    code, shown = login_in(screen, server, monkeypatch, **options)
    assert code == 3
    assert opened == []
    assert "Press Enter" not in shown
    assert f"{server.url}/device?user_code={USER_CODE}\n" in shown


@pytest.mark.parametrize(
    ("environ", "platform", "seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_TTY": "x"}, "darwin", False),
        ({"CI": "1", "DISPLAY": ":0"}, "linux", False),
        ({"SSH_CONNECTION": "x", "DISPLAY": ":0"}, "linux", False),
    ],
)
def test_a_browser_is_seen_on_a_desktop_alone(
    environ: dict[str, str], platform: str, seen: bool
) -> None:
    assert browser.can_be_seen(environ, platform) is seen


@pytest.mark.parametrize(
    ("url", "belongs"),
    [
        ("https://app.example.com/device?user_code=X", True),
        ("https://app.example.com:443/device", True),
        ("http://app.example.com/device", False),
        ("https://evil.test/device", False),
        ("https://app.example.com@evil.test/device", False),
        ("https://app.example.com\\@evil.test/device", False),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("--version", False),
        ("data:text/html,x", False),
        ("https://app.example.com/\x1b[31m", False),
    ],
)
def test_only_a_page_of_the_server_itself_may_open(url: str, belongs: bool) -> None:
    assert browser.belongs_to(url, origin_of("https://app.example.com")) is belongs


Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make ``BROWSER`` a shell script; there is no other browser."""

    def make(text: str) -> Path:
        path = tmp_path / "browser"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        monkeypatch.setenv("BROWSER", str(path))
        monkeypatch.setenv("PATH", str(tmp_path))
        return path

    return make


def ended(opener: browser.Opener) -> browser.Opener:
    assert opener._process is not None
    opener._process.wait(PATIENCE)
    return opener


def test_the_browser_of_the_environment_opens_the_page_once(script: Script, tmp_path: Path) -> None:
    script(f'echo "$1" >> {shlex.quote(str(tmp_path))}/opened; echo noise; echo noise >&2')
    opener = browser.Opener("https://app.example.com/device?a=1&b=2")
    assert not opener.has_just_failed()
    opener.open()
    ended(opener).open()
    assert not opener.has_just_failed()
    assert (tmp_path / "opened").read_text() == "https://app.example.com/device?a=1&b=2\n"


def test_a_browser_that_fails_is_told_of_once(script: Script) -> None:
    script("exit 1")
    opener = browser.Opener("https://app.example.com/device")
    opener.open()
    assert ended(opener).has_just_failed()
    assert not opener.has_just_failed()


def test_a_browser_that_fails_is_one_line_and_the_login_goes_on(
    screen: Screen, server: DeviceServer, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("exit 1")
    start = browser.Opener.open
    monkeypatch.setattr(browser.Opener, "open", lambda self: (start(self), ended(self)))
    code, shown = login_in(screen, server, monkeypatch)
    assert code == 3
    assert shown.count("No browser opened. Open it yourself: ") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 ✓", "plain é 漢 ✓"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]52;c;AAAA\x07", "]52;c;AAAA"),
        ("\x9b31m\x7f\r\n\t\0", "31m"),
        ("a\u202eb\u2066c\u200bd\ufeffe\u2028f\ud800g", "abcdefg"),
    ],
)
def test_what_a_terminal_would_act_on_is_taken_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_the_encoding_lacks_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stdout"
    with file.open("w", encoding="ascii") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        Terminal().answer("é")
        monkeypatch.undo()
    assert file.read_text() == "\\xe9\n"


# A leader of a session gets the first terminal that it opens, and with it Ctrl-C.
IN_A_TERMINAL = 'exec "$@" <"$0" 2>"$0"'


@dataclass(frozen=True)
class Running:
    """``pikku-auth`` in a terminal of its own, with its stdout in a pipe."""

    process: subprocess.Popen[str]
    screen: Screen

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


@pytest.fixture
def in_a_terminal(home: Path) -> Iterator[Callable[..., Running]]:
    master, slave = pty.openpty()
    with ExitStack() as stack:

        def start(*arguments: str, **environ: str) -> Running:
            command = [sys.executable, "-m", "pikku_auth.client", *arguments]
            child = running(
                ["/bin/sh", "-c", IN_A_TERMINAL, os.ttyname(slave), *command],
                stdout=subprocess.PIPE,
                env={**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environ},
                start_new_session=True,
            )
            process = stack.enter_context(child)
            return Running(process, Screen(master, lambda: process.poll() is None))

        yield start
    os.close(slave)
    os.close(master)


def test_approving_elsewhere_ends_the_login_without_enter(
    in_a_terminal: Callable[..., Running], server: DeviceServer, store: Store
) -> None:
    server.answer_auth("/device/code", server.codes(interval=1))
    running = in_a_terminal("login", "--url", server.url, **SEEN)
    shown = running.screen.read_until("Saved to")
    assert running.end() == (0, "")
    assert "Press Enter to open" in shown
    assert "\rWaiting for approval… expires in 29:" in shown
    assert f"✓ Logged in to {server.url} as ada@example.com" in shown
    assert TOKEN not in shown
    assert store.current() is not None


def test_polling_goes_on_while_the_browser_is_open(
    in_a_terminal: Callable[..., Running], server: DeviceServer, script: Script, tmp_path: Path
) -> None:
    script(f'echo "$1" > {tmp_path}/opened; echo noise; echo noise >&2; read end < {tmp_path}/end')
    os.mkfifo(tmp_path / "end")
    server.answer_auth("/device/code", server.codes(interval=1))
    running = in_a_terminal("login", "--url", server.url, **SEEN)
    running.screen.read_until("Press Enter to open")
    running.screen.type(b"\r")
    shown = running.screen.read_until("Saved to")
    assert running.end() == (0, "")
    assert "noise" not in shown
    (tmp_path / "end").write_text("\n")
    assert (tmp_path / "opened").read_text() == f"{server.url}/device?user_code={USER_CODE}\n"


def test_ctrl_c_leaves_nothing(
    in_a_terminal: Callable[..., Running], server: DeviceServer, home: Path
) -> None:
    server.answer_auth("/device/token", PENDING)
    running = in_a_terminal("login", "--url", server.url, **SEEN)
    running.screen.read_until("Waiting for approval")
    running.screen.type(b"\x03")
    shown = running.screen.read_until("Cancelled.\r\n")
    assert running.end() == (130, "")
    assert "Traceback" not in shown
    assert not (home / ".pikku" / "session.json").exists()
