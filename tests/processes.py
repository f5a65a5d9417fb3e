"""Child processes, and waiting for them: every wait here comes to an end."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

PATIENCE = 60
"""Seconds to wait for what has to come; far more than it takes."""


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a child that ends with the block, and after ``PATIENCE`` in any case.

    Whoever reads what it writes comes to the end of the file then.
    """
    with subprocess.Popen(command, text=True, **options) as process:
        deadline = threading.Timer(PATIENCE, process.kill)
        deadline.start()
        try:
            yield process
        finally:
            deadline.cancel()
            process.kill()


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a child to end, and make it end if it doesn't."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    finally:
        process.kill()


def read_line(stream: IO[str] | None, text: str) -> str:
    """Read the stream of a child until a line has that text, and return that line."""
    assert stream is not None
    lines = []
    for line in stream:
        if text in line:
            return line
        lines.append(line)
    raise AssertionError(f"{text!r} is in none of the lines {lines}")


def read_until(file: int, text: str, *, goes_on: Callable[[], bool] = lambda: True) -> str:
    """Read a terminal until it has shown that text, and return all that it has shown.

    Fail when nothing more comes from it: at its end, when what writes to it no longer
    ``goes_on``, and when ``PATIENCE`` is over.
    """
    end, shown = time.monotonic() + PATIENCE, b""
    while text.encode() not in shown:
        is_last = not goes_on() or time.monotonic() > end
        if select.select([file], [], [], 0.1)[0]:
            more = read_now(file)
            is_last = not more
            shown += more
        assert not is_last, f"{text!r} is not in {shown!r}"
    return shown.decode(errors="replace")


def read_now(file: int) -> bytes:
    """Read what is there: nothing is at the end."""
    try:
        return os.read(file, 4096)
    except OSError:  # what Linux says when nobody has the other end of a terminal open
        return b""


def wait_until(happened: Callable[[], object], otherwise: str) -> None:
    """Wait for what happens elsewhere."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)
