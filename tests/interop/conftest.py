"""Both sides of the wire as real processes on loopback, and the humans who approve."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from example_project.browser import Browser
from tests.processes import PATIENCE, running, wait_until

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OURS = [sys.executable, "-m", "pikku_auth.client"]
PIKKU_CLI = ["node", str(HERE / "pikku_cli.mjs")]
PASSWORD = "correct-horse"


def environment(**more: str) -> dict[str, str]:
    """Nothing of whoever runs the tests: no login, no proxy, no settings."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **more}


@dataclass
class Program:
    """What runs in the terminal of a human."""

    process: subprocess.Popen[str]

    def read(self, pattern: str) -> str:
        """The first group of the first line that matches."""
        assert self.process.stdout
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        pytest.fail(f"it ended without {pattern}: {self.finish()}")

    def finish(self) -> tuple[int, str, str]:
        """Its exit status, and the rest of stdout and of stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@dataclass
class Computer:
    """A home directory, and programs that use it."""

    home: Path
    start: Callable[..., Program]

    @property
    def file(self) -> Path:
        return self.home / ".pikku" / "session.json"

    def stored(self) -> Any:
        return json.loads(self.file.read_text())

    def run(self, *command: str) -> tuple[int, str, str]:
        return self.start(*command).finish()


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    with ExitStack() as stack:

        def start(*command: str) -> Program:
            child = running(
                [*command],
                env=environment(HOME=str(tmp_path)),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            return Program(stack.enter_context(child))

        yield Computer(tmp_path, start)


@dataclass
class Server:
    url: str
    log: Path

    def wait_for(self, line: str) -> None:
        """Until the server has logged it."""
        wait_until(lambda: line in self.log.read_text().splitlines(), f"no {line} was logged")

    def get_session(self, token: str) -> Any:
        """What the server says about a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(
            f"{self.url}/auth/get-session", headers=headers, timeout=PATIENCE
        ).json()


@contextmanager
def serving(
    folder: Path, command: Callable[[int], list[str]], **variables: str
) -> Iterator[Server]:
    """A server on a free port, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", folder / "server.log")

    def answers() -> bool:
        assert process.poll() is None, server.log.read_text()
        with socket.socket() as peer:
            return peer.connect_ex(("127.0.0.1", port)) == 0

    with server.log.open("w") as output:
        process = subprocess.Popen(
            command(port), env=environment(**variables), cwd=ROOT, stdout=output, stderr=output
        )
        try:
            wait_until(answers, "the server did not start")
            yield server
        finally:
            process.kill()
            process.wait(PATIENCE)


# --- The other side ---------------------------------------------------------------------


@pytest.fixture(scope="session")
def node_modules() -> None:
    """What ``package-lock.json`` names, installed."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            pytest.fail(f"These tests need {program}: install Node.js 20 or newer, and npm.")
    version = subprocess.check_output(["node", "--version"], text=True, timeout=PATIENCE)
    if int(version.lstrip("v").partition(".")[0]) < 20:
        pytest.fail(f"These tests need Node.js 20 or newer; this is {version}.")
    with (HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker installs, and the others wait for it
        install()


def install() -> None:
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            pytest.fail(f"npm ci failed: {done.stderr}")


@pytest.fixture(scope="session", params=["better-auth", "better-auth-1.6"])
def better_auth(
    request: pytest.FixtureRequest, node_modules: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Start a better-auth server, with options of its device flow."""

    def start(**options: str) -> Any:
        return serving(
            tmp_path_factory.mktemp("better_auth"),
            lambda port: [
                "node", str(HERE / "better_auth_server.mjs"), request.param, str(port),
                json.dumps(options),
            ],
        )  # fmt: skip

    return start


class BetterAuthHuman:
    """Somebody who is signed in to a better-auth server, in a browser."""

    email = "ada@example.com"

    def __init__(self, url: str) -> None:
        self._url = f"{url}/auth"
        self._browser = requests.Session()
        self._browser.headers["Origin"] = url
        form = {"email": self.email, "password": PASSWORD, "name": "Ada"}
        answer = self._browser.post(f"{self._url}/sign-up/email", json=form, timeout=PATIENCE)
        if answer.status_code == 422:  # has been here before
            answer = self._browser.post(f"{self._url}/sign-in/email", json=form, timeout=PATIENCE)
        assert answer.ok, answer.text

    @property
    def cookies(self) -> str:
        """The header that the browser sends."""
        return "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())

    def found(self, organization: str) -> str:
        """The id of a new organization."""
        form = {"name": organization, "slug": organization}
        answer = self._browser.post(f"{self._url}/organization/create", json=form, timeout=PATIENCE)
        return str(answer.json()["id"])

    def approve(self, user_code: str) -> None:
        self._decide("approve", user_code)

    def deny(self, user_code: str) -> None:
        self._decide("deny", user_code)

    def _decide(self, verb: str, user_code: str) -> None:
        looked_up = self._browser.get(
            f"{self._url}/device", params={"user_code": user_code}, timeout=PATIENCE
        )
        assert looked_up.json()["status"] == "pending", looked_up.text
        decided = self._browser.post(
            f"{self._url}/device/{verb}", json={"userCode": user_code}, timeout=PATIENCE
        )
        assert decided.json() == {"success": True}, decided.text


@pytest.fixture
def better_auth_client(node_modules: None, our_server: Server) -> Callable[..., Any]:
    """Call a method of better-auth's JavaScript client against our server."""

    def call(method: str, argument: Any = None, *, token: str = "") -> Any:
        options = {"auth": {"type": "Bearer", "token": token}} if token else {}
        return in_javascript(our_server, options, method, argument)

    return call


def in_javascript(server: Server, options: Any, method: str, argument: Any = None) -> Any:
    """What a method of the client gives. ``options`` are its ``fetchOptions``."""
    (answer,) = all_in_javascript(server, options, [(method, argument)])
    return answer


def all_in_javascript(server: Server, options: Any, calls: list[tuple[str, Any]]) -> list[Any]:
    """What methods of the client give, one after another."""
    given = [(method, [] if argument is None else [argument]) for method, argument in calls]
    script = str(HERE / "better_auth_client.mjs")
    done = subprocess.run(
        ["node", script, server.url, json.dumps(options), json.dumps(given)],
        capture_output=True,
        env=environment(),
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{server.log.read_text()[-2_000:]}"
    answers: list[Any] = json.loads(done.stdout)
    return answers


# --- Our side ---------------------------------------------------------------------------


MANAGE = [sys.executable, str(ROOT / "manage.py")]


@pytest.fixture(scope="session")
def manage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a command of our server, for what it prints."""
    folder = tmp_path_factory.mktemp("our_database")

    def run(*command: str) -> str:
        return subprocess.run(
            [*MANAGE, *command],
            env=environment(**variables_of(folder)),
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    run.folder = folder  # type: ignore[attr-defined]
    run("migrate", "--verbosity", "0")
    run("createsuperuser", "--no-input", "--username", "ada", "--email", "ada@example.com")
    return run


def variables_of(folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "tests.interop.settings",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }


@pytest.fixture(scope="session")
def our_server(manage: Any) -> Iterator[Server]:
    folder: Path = manage.folder
    run = [*MANAGE, "runserver", "--noreload"]
    with serving(
        folder, lambda port: [*run, f"127.0.0.1:{port}"], **variables_of(folder)
    ) as server:
        yield server


class DjangoHuman:
    """Ada, who is signed in to our server, in a browser."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._browser = Browser()
        self._browser.open(f"{url}/admin/login/")
        self._browser.submit(username="ada", password=PASSWORD)
        assert "sessionid" in self._browser.session.cookies

    @property
    def cookies(self) -> str:
        """The header that the browser sends."""
        cookies = self._browser.session.cookies
        return "; ".join(f"{name}={value}" for name, value in cookies.items())

    def approve_on_the_page(self, page: str) -> None:
        assert "Approved" in self._decide(page, "approve")

    def deny_on_the_page(self, page: str) -> None:
        assert "Denied" in self._decide(page, "deny")

    def approve(self, user_code: str) -> None:
        """As a page of the host's own does it: with JSON."""
        auth, http = f"{self._url}/auth", self._browser.session
        code = {"user_code": user_code}
        found = http.get(f"{auth}/device", params=code, timeout=PATIENCE)
        assert found.json()["status"] == "pending", found.text
        done = http.post(
            f"{auth}/device/approve",
            json={"userCode": user_code},
            headers={"Origin": self._url},
            timeout=PATIENCE,
        )
        assert done.json() == {"success": True}, done.text

    def _decide(self, page: str, verb: str) -> str:
        self._browser.open(page)
        self._browser.submit("look-up")
        self._browser.submit(verb)
        return self._browser.page.text


@pytest.fixture
def ada(our_server: Server) -> DjangoHuman:
    return DjangoHuman(our_server.url)
