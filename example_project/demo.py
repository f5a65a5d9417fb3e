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
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from example_project.browser import Browser, NoSuchForm
from pikku_auth.client import NotLoggedIn, Session

MANAGE = [sys.executable, "manage.py"]
PIKKU_AUTH = [sys.executable, "-m", "pikku_auth.client"]
PASSWORD = "correct-horse"  # noqa: S105  # of the demo's own throw-away database
UNKNOWN = "pka_" + "0" * 49
PATIENCE = 60
"""Seconds for what takes one or two."""


class Surprise(Exception):
    """Something came out other than the story says."""


def main() -> int:
    """Tell the story; 0 if it went as told."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/demo.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
        os.environ["HOME"] = folder
        for name in ("PIKKU_API_KEY", "PIKKU_TOKEN", "PIKKU_URL"):
            os.environ.pop(name, None)
        try:
            _prepare()
            with _server(Path(folder)) as url:
                _tell_of_a_machine(url)
                _tell_of_a_sandbox(url)
                _tell_of_a_human(url)
                _tell_of_an_orchestrator(url)
                _tell_of_an_engineer(url)
        except (Surprise, NoSuchForm) as surprise:
            print(f"\nThat was not meant to happen: {surprise}", file=sys.stderr)
            return 1
    print("\nThat is the whole story. The server is stopped and the database is gone.")
    print("Next: README.md has the few lines that put this into your own project.")
    return 0


def _prepare() -> None:
    _title("A fresh project: its tables, and ada, a superuser")
    _manage("migrate", "--verbosity", "0")
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    _manage("createsuperuser", "--no-input", "--username", "ada", "--email", "ada@example.com")


def _tell_of_a_machine(url: str) -> None:
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

    _title("6. A bad key never falls through to a good session in the same request")
    cookies = _signed_in(url, "ada").session
    _expect(200, "GET", f"{url}/api/whoami/", None, cookies, why="ada's session")
    _expect(401, "GET", f"{url}/api/whoami/", UNKNOWN, cookies, why="her session, and a wrong key")

    _title("7. What is on record")
    _manage("list_keys")
    _check_record()


def _tell_of_a_sandbox(url: str) -> None:
    _title("8. A sandbox's own key: what it means is looked up when the request comes")
    key = _manage("mint_key", "--service", "sandbox-runtime", "--metadata", '{"sandbox": 1}')
    _expect_organisation(1, f"{url}/api/whoami/", key)
    _manage("change_sandbox", "1", "--organisation", "acme")
    _expect_organisation(2, f"{url}/api/whoami/", key, why="its sandbox was moved")
    _manage("change_sandbox", "1", "--status", "stopped")
    _expect(401, "GET", f"{url}/api/whoami/", key, why="its sandbox is stopped")
    _manage("change_sandbox", "1", "--status", "running")
    _expect_organisation(2, f"{url}/api/whoami/", key, why="and runs again")


def _tell_of_a_human(url: str) -> None:
    _title("9. Grace, an ordinary user, logs in from her terminal, and has no right to anything")
    _make_grace()
    _log_in(url, "This login could do nothing", "deny")

    _title("10. She is allowed to see sandboxes, and logs in again")
    _manage("change_person", "grace", "--allow", "view_sandbox")
    _log_in(url, "Let this terminal in?", "approve")

    _title("11. Now every tool of hers is logged in, with the one scope that she was granted")
    _pikku_auth("whoami")
    _expect(200, "GET", f"{url}/api/whoami/", None, Session())
    _expect(200, "GET", f"{url}/api/sandboxes/", None, Session())
    _expect(403, "POST", f"{url}/api/sandboxes/", None, Session(), json={"name": "mine"})

    _title("12. The right is taken away: her login loses it at the next request")
    _manage("change_person", "grace", "--forbid", "view_sandbox")
    _expect(403, "GET", f"{url}/api/sandboxes/", None, Session())

    _title("13. She logs out: the server ends the login, and the terminal forgets it")
    token = _pikku_auth("token")
    _pikku_auth("logout")
    _expect(401, "GET", f"{url}/api/whoami/", token, why="somebody has kept a copy")
    _expect_not_logged_in(f"{url}/api/whoami/")


def _tell_of_an_orchestrator(url: str) -> None:
    _title("14. An orchestrator gets a key that makes keys for its sandboxes, over HTTP")
    _manage("create_service_user", "orchestrator")
    options = ["--service", "orchestrator", "--for-service", "sandbox-runtime"]
    scopes = ["--scope", "auth:mint", "--scope", "sandbox:*"]
    orchestrator = _manage("mint_key", *options, *scopes, "--child-metadata", "sandbox")
    _expect(201, "POST", f"{url}/api/sandboxes/", orchestrator, json={"name": "hers"})
    wanted: dict[str, object] = {
        "organizationId": "sandbox-runtime",
        "permissions": {"sandbox": ["read"]},
        "metadata": {"sandbox": 1},
        "expiresIn": 3600,
    }
    create = f"{url}/auth/api-key/create"
    sandbox = _expect(200, "POST", create, orchestrator, json=wanted).json()["key"]

    _title("15. The sandbox's key may read, and nothing else that the orchestrator may do")
    _expect(200, "GET", f"{url}/api/sandboxes/", sandbox)
    _expect(403, "POST", f"{url}/api/sandboxes/", sandbox, json={"name": "mine"})
    _expect(403, "POST", create, sandbox, json={})
    too_much = {**wanted, "permissions": {"perm": ["auth.view_user"]}}
    _expect(403, "POST", create, orchestrator, json=too_much, why="it hasn't got that itself")

    _title("16. The orchestrator's key is revoked, and the sandbox's dies with it")
    _manage("revoke_key", orchestrator[:12], "--reason", "found in a log", "--no-input")
    _expect(401, "GET", f"{url}/api/sandboxes/", sandbox)


def _tell_of_an_engineer(url: str) -> None:
    _title("17. Grace may make keys, and asks for that by name when she logs in")
    _manage("set_service_user_scopes", "sandbox-runtime", "--scope", "sandbox:*")
    _manage("change_person", "grace", "--allow", "mint_apikey", "--allow", "view_sandbox")
    _log_in(url, "Let this terminal in?", "approve", ["--scope", "auth:mint", *_READ])

    _title("18. She makes one from her terminal, without a shell on the server")
    key = _pikku_auth("keys", "mint", "--service", "sandbox-runtime", *_READ)
    _expect(200, "GET", f"{url}/api/sandboxes/", key)
    _pikku_auth("status")
    _pikku_auth("logout", "--all")


def _make_grace() -> None:
    fields = f'"grace", "grace@example.com", {PASSWORD!r}'
    code = f"from django.contrib.auth.models import User; User.objects.create_user({fields})"
    _manage("shell", "--verbosity", "0", "--command", code)


def _log_in(url: str, question: str, decision: str, scopes: Sequence[str] = ()) -> None:
    """Log in as grace, who is asked ``question`` by the page and decides."""
    browser = _signed_in(url, "grace")
    scopes = scopes or [*_READ, *_WRITE]
    arguments = ["login", "--url", url, *scopes, "--no-browser", "--json"]
    print(f"\n$ pikku-auth {shlex.join(arguments)}")
    pipe = subprocess.PIPE
    with subprocess.Popen([*PIKKU_AUTH, *arguments], stdout=pipe, stderr=pipe, text=True) as login:
        deadline = threading.Timer(PATIENCE, login.kill)
        deadline.start()
        try:
            told = login.stdout.readline() if login.stdout else ""
            if not told:
                raise Surprise("the login ended before it asked for anything")
            print(f"    {told}", flush=True)
            _decide(browser, json.loads(told), question, decision)
            answer, problem = login.communicate(timeout=PATIENCE)
        finally:
            deadline.cancel()
            login.kill()
    print(f"\nThe terminal:\n    {problem or answer}", end="")
    if (login.returncode == 0) is not (decision == "approve"):
        raise Surprise(f"the login ended with {login.returncode}")


def _decide(browser: Browser, prompt: dict[str, str], question: str, decision: str) -> None:
    """What grace would do with her mouse."""
    print("Grace's browser:")
    browser.open(prompt["verification_uri_complete"])
    for button in ("look-up", decision):
        print(f"    {_heading(browser)} → {button}")
        if prompt["user_code"] not in browser.page.text:
            raise Surprise(f"the page doesn't show the code: {browser.page.text}")
        if button == decision:
            _check_question(browser, question)
        browser.submit(button)
    print(f"    {_heading(browser)}", flush=True)


def _check_question(browser: Browser, question: str) -> None:
    if _heading(browser) != question:
        raise Surprise(f"the page asks {_heading(browser)!r}")
    is_offered = 'value="approve"' in browser.page.text
    if is_offered is not question.startswith("Let"):
        raise Surprise("the page offers the wrong buttons")
    for term, said in re.findall(
        r"<dt>(Access|Not granted)</dt><dd>(.*?)</dd>", browser.page.text, re.DOTALL
    ):
        print(f"        {term}: {' '.join(re.sub('<[^>]+>', ' ', said).split())}")


def _heading(browser: Browser) -> str:
    found = re.search(r"<h1>(.*)</h1>", browser.page.text)
    if browser.page.status_code != 200 or found is None:
        raise Surprise(f"{browser.page.status_code} {browser.page.text}")
    return found[1]


def _expect_not_logged_in(url: str) -> None:
    print(f"\nGET {url}   {_shown(None, Session())}")
    try:
        Session().get(url)
    except NotLoggedIn as refusal:
        print(f"    {refusal}")
    else:
        raise Surprise("the request was sent")


def _pikku_auth(*arguments: str) -> str:
    """Run a command as grace would, and show it; its answer with secrets cut short."""
    return _show("pikku-auth", PIKKU_AUTH, arguments)


_SECRET = re.compile(r"(pk[as]_.{8})[0-9A-Za-z]{41}")
_READ = ["--scope", "sandbox:read"]
_WRITE = ["--scope", "sandbox:write"]


def _check_record() -> None:
    keys = json.loads(_run(MANAGE, ("list_keys", "--format", "json")).stdout)
    states = [key["state"] for key in keys]
    if states != ["active", "active", "revoked"]:
        raise Surprise(f"the keys are {states}")


def _manage(*arguments: str) -> str:
    """Run a command as an operator would, and show it; its answer with secrets cut short."""
    return _show("manage.py", MANAGE, arguments)


def _show(name: str, command: list[str], arguments: tuple[str, ...]) -> str:
    print(f"\n$ {name} {shlex.join(arguments)}")
    done = _run(command, arguments)
    for line in f"{done.stderr}{done.stdout}".splitlines():
        print(f"    {_SECRET.sub(_cut_short, line)}")
    return done.stdout.strip()


def _cut_short(secret: re.Match[str]) -> str:
    return f"{secret[1]}…"


def _run(command: list[str], arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
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
) -> requests.Response:
    """Make a real request, show it and its answer, and insist on ``status``."""
    headers = _header(key)
    answer = (session or requests).request(method, url, headers=headers, json=json, timeout=10)
    print(f"\n{method} {url}   {_shown(key, session)}" + (f"   ({why})" if why else ""))
    print(f"    {answer.status_code} {_SECRET.sub(_cut_short, answer.text)[:200]}")
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in answer.headers:
            print(f"    {header}: {answer.headers[header]}")
    if answer.status_code != status:
        raise Surprise(f"{status} was expected")
    return answer


def _expect_organisation(organisation: int, url: str, key: str, *, why: str = "") -> None:
    """Ask who ``key`` is, and insist on the id of its organisation."""
    if _expect(200, "GET", url, key, why=why).json().get("organisation") != organisation:
        raise Surprise(f"the organisation {organisation} was expected")


def _header(credential: str | None) -> dict[str, str]:
    if credential is None:
        return {}
    is_key = credential.startswith("pka_")
    return {"x-api-key": credential} if is_key else {"Authorization": f"Bearer {credential}"}


def _shown(credential: str | None, session: requests.Session | None) -> str:
    for name, value in _header(credential).items():
        return f"{name}: {_SECRET.sub(_cut_short, value)}"
    return "pikku_auth.client.Session" if isinstance(session, Session) else "a session cookie"


def _signed_in(url: str, name: str) -> Browser:
    """The browser of ada or grace."""
    browser = Browser()
    browser.open(f"{url}/accounts/login/")
    browser.submit(username=name, password=PASSWORD)
    if "sessionid" not in browser.session.cookies:
        raise Surprise(f"{name} could not sign in")
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
            try:
                server.wait(PATIENCE)
            finally:
                server.kill()


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
