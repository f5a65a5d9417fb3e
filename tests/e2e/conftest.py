"""A real server, a real terminal and a real browser, all of them thrown away afterwards."""

from __future__ import annotations

import logging
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.e2e.album import Album
from tests.e2e.people import MAKE_PEOPLE_AND_MACHINES
from tests.e2e.steps import PATIENCE
from tests.processes import end

ROOT = Path(__file__).parent.parent.parent

_COLOURS_AND_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Site:
    """The example project as somebody runs it; ``database`` is its SQLite file."""

    url: str
    database: Path
    log: Path


def run_manage(database: Path, *arguments: str, **environ: str) -> str:
    """What a command prints."""
    environment = {**_environment(database), **environ}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, timeout=PATIENCE, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def _environment(database: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{database}",
        "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
        "DEBUG": "1",  # so that runserver serves the style sheet
    }


@pytest.fixture(scope="session")
def database_with_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("people") / "db.sqlite3"
    run_manage(database, "migrate", "--verbosity", "0")
    run_manage(database, "shell", "--no-imports", "-c", MAKE_PEOPLE_AND_MACHINES)
    return database


@pytest.fixture
def site(tmp_path: Path, database_with_people: Path) -> Iterator[Site]:
    for file in database_with_people.parent.iterdir():  # with what SQLite keeps beside it
        shutil.copy(file, tmp_path)
    database = tmp_path / database_with_people.name
    port = _free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    log = (tmp_path / "server.log").open("w")
    with (
        log,
        subprocess.Popen(
            command, cwd=ROOT, env=_environment(database), stdout=log, stderr=log
        ) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}", server)
            yield Site(f"http://127.0.0.1:{port}", database, tmp_path / "server.log")
        finally:
            end(server)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def _free_port() -> int:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(os.environ.get("E2E_PORT", "0"))))
        port: int = free.getsockname()[1]
        return port


def _wait_for(url: str, server: subprocess.Popen[Any]) -> None:
    for _ in range(PATIENCE * 10):
        try:
            requests.get(url, timeout=PATIENCE)
        except requests.ConnectionError:
            assert server.poll() is None, "the server did not start"
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


class Terminal:
    """``pikku-auth``, typed by somebody who sits before it. Standard output goes elsewhere."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._keyboard, theirs = pty.openpty()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIKKU")},
            "HOME": str(home),
            "TERM": "xterm",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pikku_auth.client", *arguments],
            cwd=ROOT, env=environment, text=True, start_new_session=True,
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self.screen = ""

    def read_until(self, pattern: str) -> str:
        """The first group of what is looked for, once it is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.screen):
                return found[1] if found.groups() else found[0]
            self._read()
        raise AssertionError(f"{pattern!r} is not in {self.screen!r}")

    def finish(self) -> tuple[int, str]:
        """Its exit status, and what it wrote to standard output."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
        output, _ = self.process.communicate(timeout=PATIENCE)
        self._read()
        return self.process.returncode, output

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)
        os.close(self._keyboard)

    def _read(self) -> None:
        if select.select([self._keyboard], [], [], 0.2)[0]:
            try:
                text = os.read(self._keyboard, 65_536).decode(errors="replace")
            except OSError:  # its end is closed
                time.sleep(0.05)
                return
            self.screen += _COLOURS_AND_MOVES.sub("", text).replace("\r", "\n")


@pytest.fixture
def type_command(tmp_path: Path, site: Site) -> Iterator[Callable[..., Terminal]]:
    """Type ``pikku-auth …``; every command of a test finds the same home."""
    home = tmp_path / "home"
    home.mkdir()
    opened: list[Terminal] = []

    def run(command: str, *arguments: str) -> Terminal:
        opened.append(Terminal(home, command, "--url", site.url, *arguments))
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One Chromium for all tests of a process: to start it takes longer than many of them."""
    options = ChromeOptions()
    options.binary_location = _program("chromium", "chromium-browser", "google-chrome")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", "--lang=en-US", "--window-size=1280,800",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options=options, service=Service(_program("chromedriver"))) as chrome:
        chrome.set_page_load_timeout(PATIENCE)
        yield chrome


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """A new window without cookies. It must have nothing to complain of in the end."""
    before = chromium.current_window_handle
    chromium.switch_to.new_window("window")
    chromium.set_window_size(1280, 800)
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    complaints(chromium)  # of the test before
    yield chromium
    told = complaints(chromium)
    mine = chromium.current_window_handle
    for window in chromium.window_handles:
        if window != before:
            chromium.switch_to.window(window)
            chromium.close()
    assert mine not in chromium.window_handles
    chromium.switch_to.window(before)
    assert told == []


def complaints(chrome: Chrome) -> list[str]:
    """What the browser's console says, such as a breach of the Content-Security-Policy.

    That a refusal came with an HTTP status of 400 and more is no complaint.
    """
    lines = [entry["message"] for entry in chrome.get_log("browser")]  # type: ignore[no-untyped-call]
    return [line for line in lines if "the server responded with a status of 4" not in line]


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {names} is installed"
    return found


@pytest.fixture
def album(browser: Chrome, tmp_path: Path) -> Album:
    folder = Path(os.environ.get("PICTURES", tmp_path / "pictures"))
    folder.mkdir(exist_ok=True)
    return Album(browser, folder)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The driver's own log would bury a failure."""
    for name in ("selenium", "urllib3"):
        caplog.set_level(logging.WARNING, logger=name)
