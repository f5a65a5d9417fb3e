"""The commands as a shell runs them: processes with streams that may be closed or full."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import OutputWrapper
from django.core.management.color import color_style

import pikku_auth.management.commands as package
from pikku_auth.flows import create_service_user, mint_key

ROOT = Path(__file__).parents[2]
MANAGE = f"{shlex.quote(sys.executable)} manage.py"
MINT = f"{MANAGE} mint_key --service sandbox-runtime"
COMMANDS = sorted(
    path.stem for path in Path(package.__path__[0]).glob("*.py") if path.stem != "__init__"
)

Shell = Callable[[str], "subprocess.CompletedProcess[str]"]
Query = Callable[[str], list[tuple[object, ...]]]


# Unbuffered, Python would have nothing left to complain of on exit.
NOT_PASSED_ON = {"PYTHONUNBUFFERED", "PYTHONWARNINGS"}


def run(script: str, database: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON},
        "DATABASE_URL": f"sqlite:///{database}",
    }
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the service user ``sandbox-runtime``, to copy."""
    file = tmp_path_factory.mktemp("terminal") / "migrated.sqlite3"
    made = run(f"{MANAGE} migrate -v0 && {MANAGE} create_service_user sandbox-runtime", file)
    assert made.returncode == 0, made.stderr
    return file


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "database.sqlite3"))


@pytest.fixture
def shell(database: Path) -> Shell:
    """Run a script of the shell."""
    return lambda script: run(script, database)


@pytest.fixture
def query(database: Path) -> Query:
    """Ask the database that the shell has worked on."""

    def ask(sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(sql).fetchall()

    return ask


def is_clean(stderr: str) -> bool:
    """Whether the process ended as one that knew what it was doing."""
    return "Traceback" not in stderr and "Exception ignored" not in stderr


def test_a_shell_can_take_the_key(
    shell: Shell, query: Query, remember_secret: Callable[[str], None]
) -> None:
    done = shell(f'KEY=$({MINT} --scope sandbox:read) && printf "<%s>" "$KEY"')
    match = re.fullmatch(r"<(pka_[0-9A-Za-z]{49})>", done.stdout)
    assert done.returncode == 0
    assert match is not None
    remember_secret(match[1])
    assert query("SELECT digest FROM pikku_auth_apikey") == [
        (sha256(match[1].encode()).hexdigest(),)
    ]
    assert match[1] not in done.stderr
    assert is_clean(done.stderr)


# A shell can't open a pipe without a reader, so Python does.
INTO_A_CLOSED_PIPE = (
    f"{shlex.quote(sys.executable)} -c 'import os, sys; "
    "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1); "
    "os.execv(sys.argv[1], sys.argv[1:])' "
)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(f"{MINT} >&-", id="closed"),
        pytest.param(f"{INTO_A_CLOSED_PIPE} {MINT}", id="closed pipe"),
        pytest.param(
            f"{MINT} >/dev/full",
            id="full",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here"),
        ),
    ],
)
def test_a_key_that_could_not_be_written_was_never_made(
    shell: Shell, query: Query, script: str
) -> None:
    done = shell(script)
    assert done.returncode == 3
    assert done.stderr.startswith("CommandError: The key could not be handed over (")
    assert done.stderr.count("\n") == 1
    assert is_clean(done.stderr)
    assert query("SELECT * FROM pikku_auth_apikey") == []


def test_a_rotation_that_could_not_be_written_leaves_the_old_key_as_it_was(
    shell: Shell, query: Query
) -> None:
    done = shell(
        f"{MINT} >/dev/null 2>&1 && {INTO_A_CLOSED_PIPE} {MANAGE} rotate_key 1 --overlap 1h"
    )
    assert done.returncode == 3
    assert is_clean(done.stderr)
    rows = query("SELECT id, rotated_at, revoked_at FROM pikku_auth_apikey")
    assert rows == [(1, None, None)]


def test_a_key_is_good_although_nobody_could_read_the_notes(
    shell: Shell, query: Query, remember_secret: Callable[[str], None]
) -> None:
    done = shell(f"{MINT} 2>&-")
    remember_secret(done.stdout.strip())
    assert done.returncode == 0
    assert query("SELECT preview FROM pikku_auth_apikey") == [(done.stdout[:12],)]


@pytest.mark.parametrize(
    ("script", "status", "stderr"),
    [
        pytest.param(f"{INTO_A_CLOSED_PIPE} {MANAGE} list_keys", 141, "", id="closed pipe"),
        pytest.param(
            f"{MANAGE} list_keys >&-",
            1,
            "CommandError: The answer could not be written (the stream is closed).\n",
            id="closed",
        ),
        pytest.param(
            f"{MANAGE} list_keys >/dev/full",
            1,
            "CommandError: The answer could not be written (No space left on device).\n",
            id="full",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here"),
        ),
    ],
)
def test_a_list_that_can_not_be_written_is_no_traceback(
    shell: Shell, script: str, status: int, stderr: str
) -> None:
    assert shell(f"{MINT} >/dev/null").returncode == 0
    done = shell(script)
    assert (done.returncode, done.stderr) == (status, stderr)


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("name", ["é", "鍵", "🔑"])
def test_name_that_stdout_lacks_is_escaped(encoding: str, name: str) -> None:
    mint_key(create_service_user("worker"), name=name)
    table, listed = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    call_command("list_keys", stdout=table)
    call_command("list_keys", "--format", "json", stdout=listed)
    table.seek(0)
    listed.seek(0)
    shown = name if name.encode(encoding, "ignore") else json.dumps(name)[1:-1]
    assert f" {shown} " in table.read()
    assert json.load(listed)[0]["name"] == name


@pytest.mark.django_db
def test_error_keeps_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputWrapper, "isatty", lambda _: True)
    command = load_command_class("pikku_auth", "list_keys")
    command.stderr.style_func = color_style(force_color=True).ERROR
    call_command(command)
    assert command.stderr.style_func("refused") != "refused"


@pytest.mark.django_db
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    command = load_command_class("pikku_auth", "list_keys")
    command.style = color_style(force_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    call_command(command)
    assert command.style.SUCCESS("active") == "active"


def test_an_error_is_one_line_and_exit_code_1(shell: Shell) -> None:
    done = shell(f"{MANAGE} mint_key --service sandbox-runtme")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: There is no service user 'sandbox-runtme'.")
    assert done.stderr.count("\n") == 1


def test_a_wrong_option_is_exit_code_2(shell: Shell) -> None:
    done = shell(f"{MINT} --rate often")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].endswith(
        "'often' is not a rate: write for example 100/m, 5/s or 1000/12h."
    )


def test_a_database_without_tables_gets_a_line_that_helps(tmp_path: Path) -> None:
    done = run(f"{MINT} --create", tmp_path / "empty.sqlite3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith("has manage.py migrate been run?")
    assert is_clean(done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_of_any_command_takes_a_secret(name: str) -> None:
    parser = load_command_class("pikku_auth", name).create_parser("manage.py", name)
    words = [
        word
        for action in parser._actions
        for option in action.option_strings
        for word in option.strip("-").split("-")
    ]
    assert "verbosity" in words
    assert not {"key", "token", "secret", "password"}.intersection(words)
