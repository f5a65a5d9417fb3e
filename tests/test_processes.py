"""What the tests wait with: nothing waits for ever, and children get their signals."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PATIENCE, read_line, read_until, running

ROOT = Path(__file__).parent.parent
SIGNALLED = """
import signal
import subprocess
import sys

import pytest

CHILD = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT"])
def test_it_ends_a_child(name):
    number = getattr(signal, name)
    with subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        child.send_signal(number)
        try:
            assert child.wait(30) == -number
        finally:
            child.kill()
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_child_gets_the_signals_that_its_parent_was_made_to_ignore(tmp_path: Path) -> None:
    (tmp_path / "test_signalled.py").write_text(SIGNALLED)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.conftest"]')
    options = "-q -n 0 -p no:cacheprovider -p no:randomly -c"
    script = f'trap "" INT HUP QUIT; exec "$0" -m pytest {options} setup.cfg "$1"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_terminal_is_read_until_the_text_comes(terminal: tuple[int, int]) -> None:
    os.write(terminal[1], b"one two")
    assert read_until(terminal[0], "two") == "one two"


def test_a_terminal_is_read_no_longer_when_the_program_has_gone(terminal: tuple[int, int]) -> None:
    os.write(terminal[1], b"one")
    with pytest.raises(AssertionError, match="'two' is not in b'one'"):
        read_until(terminal[0], "two", goes_on=lambda: False)


def test_a_terminal_is_read_no_longer_than_to_its_end() -> None:
    master, slave = pty.openpty()
    os.close(slave)
    with pytest.raises(AssertionError, match="'two' is not in b''"):
        read_until(master, "two")
    os.close(master)


def test_a_stream_is_read_no_longer_than_to_its_end() -> None:
    with (
        running(["/bin/sh", "-c", "echo one"], stdout=subprocess.PIPE) as process,
        pytest.raises(AssertionError, match="'two' is in none of the lines"),
    ):
        read_line(process.stdout, "two")


def test_a_child_does_not_outlive_its_block() -> None:
    with running(["/bin/sh", "-c", "exec sleep 1000"]) as process:
        assert process.poll() is None
    assert process.returncode < 0


def test_a_child_does_not_outlive_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.processes.PATIENCE", 0.05)
    with running(["/bin/sh", "-c", "exec sleep 1000"], stdout=subprocess.PIPE) as process:
        assert process.communicate() == ("", None)
