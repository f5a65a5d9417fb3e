"""The product in one sitting: ``make demo``.

A fresh database, a real server, the real commands, real HTTP requests. Each step says
what it does and what came of it; a surprise ends the demo with a non-zero exit code.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

MANAGE = [sys.executable, "manage.py"]
PASSWORD = "correct-horse"  # noqa: S105  # of the demo's own throw-away database
UNKNOWN = "pka_" + "0" * 49


class Surprise(Exception):
    """Something came out other than the story says."""


def main() -> int:
    """Tell the story; 0 if it went as told."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/demo.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
        try:
            _prepare()
            with _server(Path(folder)) as url:
                _tell(url)
        except Surprise as surprise:
            print(f"\nThat was not meant to happen: {surprise}", file=sys.stderr)
            return 1
    print("\nThat is the whole story. The server is stopped and the database is gone.")
    print("Next: README.md has the twelve lines that put this into your own project.")
    return 0


def _prepare() -> None:
    _title("A fresh project: its tables, and ada, who is staff")
    _manage("migrate", "--verbosity", "0")
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    _manage("createsuperuser", "--no-input", "--username", "ada", "--email", "ada@example.com")


def _tell(url: str) -> None:
    _title("1. A machine gets an identity, and a key with one scope")
    _manage("create_service_user", "sandbox-runtime", "--description", "Runs the sandboxes")
    key = _manage("mint_key", "--service", "sandbox-runtime", "--name", "ci", *_READ)

    _title("2. The key opens what it was minted for, and nothing else")
    _expect(200, "GET", f"{url}/api/whoami/", key)
    _expect(200, "GET", f"{url}/api/sandboxes/", key)
    _expect(403, "POST", f"{url}/api/sandboxes/", key, json={"name": "mine"})

    _title("3. A second key may write; both stay active side by side")
    writer = _manage("mint_key", "--service", "sandbox-runtime", *_READ, *_WRITE, "--rate", "2/d")
    _expect(201, "POST", f"{url}/api/sandboxes/", writer, json={"name": "mine"})
    _expect(200, "GET", f"{url}/api/sandboxes/", writer)
    _expect(429, "GET", f"{url}/api/sandboxes/", writer, why="its rate of 2/d is used up")

    _title("4. Rotation: a new secret, and for an hour both work")
    successor = _manage("rotate_key", "1", "--overlap", "1h")
    _expect(200, "GET", f"{url}/api/sandboxes/", key, why="the old key, in the overlap")
    _expect(200, "GET", f"{url}/api/sandboxes/", successor, why="the new key")

    _title("5. A leak: the key is revoked, and the very next request is refused")
    _manage("revoke_key", successor[:12], "--reason", "found in a log", "--no-input")
    _expect(401, "GET", f"{url}/api/sandboxes/", successor)

    _title("6. A bad key never falls through to a good login in the same request")
    browser = _logged_in(url)
    _expect(200, "GET", f"{url}/api/whoami/", None, browser, why="ada's login")
    _expect(401, "GET", f"{url}/api/whoami/", UNKNOWN, browser, why="ada's login, and a wrong key")

    _title("7. What is on record")
    _manage("list_keys")
    _check_record()


_SECRET = re.compile(r"(pka_.{8})[0-9A-Za-z]{41}")
_READ = ["--scope", "sandbox:read"]
_WRITE = ["--scope", "sandbox:write"]


def _check_record() -> None:
    keys = json.loads(_run("list_keys", "--format", "json").stdout)
    states = [key["state"] for key in keys]
    if states != ["active", "active", "revoked"]:
        raise Surprise(f"the keys are {states}")


def _manage(*arguments: str) -> str:
    """Run a command as an operator would, and show it; its answer with secrets cut short."""
    print(f"\n$ manage.py {shlex.join(arguments)}")
    done = _run(*arguments)
    for line in f"{done.stderr}{done.stdout}".splitlines():
        print(f"    {_SECRET.sub(_cut_short, line)}")
    return done.stdout.strip()


def _cut_short(secret: re.Match[str]) -> str:
    return f"{secret[1]}…"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*MANAGE, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Surprise(f"{arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done


def _expect(
    status: int,
    method: str,
    url: str,
    key: str | None,
    session: requests.Session | None = None,
    *,
    json: object = None,
    why: str = "",
) -> None:
    """Make a real request, show it and its answer, and insist on ``status``."""
    headers = {"x-api-key": key} if key else {}
    answer = (session or requests).request(method, url, headers=headers, json=json, timeout=10)
    shown = f"x-api-key: {key[:12]}…" if key else "a session cookie"
    print(f"\n{method} {url}   {shown}" + (f"   ({why})" if why else ""))
    print(f"    {answer.status_code} {answer.text[:200]}")
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in answer.headers:
            print(f"    {header}: {answer.headers[header]}")
    if answer.status_code != status:
        raise Surprise(f"{status} was expected")


def _logged_in(url: str) -> requests.Session:
    """Ada's browser."""
    browser = requests.Session()
    login = f"{url}/admin/login/"
    browser.get(login, timeout=10)
    form = {
        "username": "ada",
        "password": PASSWORD,
        "csrfmiddlewaretoken": browser.cookies["csrftoken"],
    }
    browser.post(login, data=form, timeout=10)
    if "sessionid" not in browser.cookies:
        raise Surprise("ada could not log in")
    return browser


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A server on a free port, stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    command = [*MANAGE, "runserver", "--noreload", f"127.0.0.1:{port}"]
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(150):
        try:
            requests.get(f"{url}/api/schema/", timeout=10)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
        if server.poll() is not None:
            break
    raise Surprise(f"the server did not start: {log.read_text()}")


def _title(text: str) -> None:
    print(f"\n== {text} ==", flush=True)


if __name__ == "__main__":
    sys.exit(main())
