"""The client as a process of its own: exit statuses, streams, and no Django."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pikku_auth.client.store import Store
from tests.client.conftest import a_login
from tests.client.servers import (
    DENIED,
    PENDING,
    TOKEN,
    DeviceServer,
    Reply,
    unused_url,
)
from tests.processes import PATIENCE, read_line, running

ROOT = Path(__file__).parents[2]
CLIENT = [sys.executable, "-m", "pikku_auth.client"]

Done = subprocess.CompletedProcess[str]


def run(*command: str, **environ: str) -> Done:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


def client(*arguments: str, **environ: str) -> Done:
    return run(*CLIENT, *arguments, **environ)


def test_login_whoami_token_and_logout_end_with_0(server: DeviceServer, store: Store) -> None:
    server.answer_auth("/device/code", server.codes(interval=1))
    assert client("login", PIKKU_URL=server.url).returncode == 0
    assert client("whoami").stdout.startswith("ada@example.com on ")
    assert client("token").stdout == f"{TOKEN}\n"
    assert client("logout").returncode == 0
    assert client("logout").returncode == 0
    assert store.current() is None


def test_an_error_ends_with_1() -> None:
    assert client("login", "--url", unused_url()).returncode == 1


def test_wrong_usage_ends_with_2() -> None:
    assert client("login", "--fly").returncode == 2


def test_a_denied_login_ends_with_3(server: DeviceServer, store: Store) -> None:
    server.answer_auth("/device/code", server.codes(interval=1))
    server.answer_auth("/device/token", DENIED)
    assert client("login", "--url", server.url).returncode == 3
    assert not store.path.exists()


def test_a_refused_login_ends_with_4(server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    server.answer_auth("/get-session", Reply(body=None))
    assert client("whoami").returncode == 4


def test_an_interrupted_login_ends_with_130(server: DeviceServer, store: Store) -> None:
    server.answer_auth("/device/token", PENDING)
    command, streams = [*CLIENT, "login", "--url", server.url], {"stderr": subprocess.PIPE}
    with running(command, cwd=ROOT, stdin=subprocess.DEVNULL, **streams) as process:
        read_line(process.stderr, "Waiting")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE)[1] == "\nCancelled.\n"
    assert process.returncode == 130
    assert not store.path.exists()


# A shell can't open a pipe without a reader, so Python does.
INTO_A_CLOSED_PIPE = (
    "import os, sys; reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["/bin/sh", "-c", 'exec "$0" "$@" >&-'], id="closed"),
        pytest.param(["/bin/sh", "-c", 'exec "$0" "$@" >/dev/full'], id="full"),
        pytest.param([sys.executable, "-c", INTO_A_CLOSED_PIPE], id="closed pipe"),
    ],
)
def test_a_stdout_that_can_not_be_written_is_no_traceback(store: Store, command: list[str]) -> None:
    store.save(a_login())
    assert run(*command, *CLIENT, "token").returncode == 1


def test_no_secret_is_in_the_list_of_processes(server: DeviceServer) -> None:
    server.answer_auth("/device/code", server.codes(interval=1))
    seen: list[str] = []
    server.on_request = lambda request: seen.extend(
        path.read_bytes().decode() for path in Path("/proc").glob("[0-9]*/cmdline")
    )
    assert client("login", "--url", server.url).returncode == 0
    assert any("pikku_auth.client" in line for line in seen)
    assert not any(TOKEN in line for line in seen)


WITHOUT_DJANGO = """
import sys

class NoDjango:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "rest_framework"}:
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, NoDjango())
try:
    import django
except ModuleNotFoundError:
    pass
else:
    sys.exit("Django is there")
"""
ASK = """
from pikku_auth.client import PikkuAuth, Session, websocket_headers
import requests
with Session() as session:
    session.get(sys.argv[1])
requests.get(sys.argv[1], auth=PikkuAuth(), timeout=5)
assert websocket_headers(sys.argv[1].replace("http", "ws", 1))
"""
COMMAND = "from pikku_auth.client.cli import main; sys.exit(main(sys.argv[1:]))"


def test_the_client_works_where_there_is_no_django(server: DeviceServer, store: Store) -> None:
    store.save(a_login(server.url))
    done = run(sys.executable, "-c", WITHOUT_DJANGO + ASK, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    asked = server.to("/")
    assert [seen.headers["authorization"] for seen in asked] == [f"Bearer {TOKEN}"] * 2
    done = run(sys.executable, "-c", WITHOUT_DJANGO + COMMAND, "whoami")
    assert done.returncode == 0
    assert done.stdout.startswith("ada@example.com on ")


def test_the_command_is_the_module(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.save(a_login())
    monkeypatch.setattr(sys, "argv", ["pikku-auth", "token"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("pikku_auth.client", run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{TOKEN}\n"


def test_importing_the_module_runs_nothing() -> None:
    assert "main" in runpy.run_module("pikku_auth.client.__main__", run_name="imported")
