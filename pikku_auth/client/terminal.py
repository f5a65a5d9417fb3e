"""Messages for the user on stderr; results on stdout. No colour, no library."""

from __future__ import annotations

import errno
import io
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from pikku_auth.client.exceptions import ClientError
from pikku_auth.client.text import MAX_ANSWER, printable

if sys.platform == "win32":  # pragma: no cover  # where select knows sockets only
    import msvcrt


class Terminal:
    """Lines, and one status line that is drawn over itself where that can be seen."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._drawn = 0
        self._listening = True

    @property
    def is_interactive(self) -> bool:
        """Whether a human reads and types here."""
        return _is_tty(sys.stdin) and _is_tty(sys.stderr)

    @property
    def can_redraw(self) -> bool:
        return _is_tty(sys.stderr) and os.environ.get("TERM") != "dumb"

    def say(self, line: str) -> None:
        """Print a message. Control characters from the server are removed."""
        self.clear()
        _write(sys.stderr, f"{printable(line)}\n")

    def answer(self, line: str) -> None:
        """A line for the program that called.

        :raises ClientError: when it has closed stdout.
        """
        if sys.stdout is None:
            raise ClientError("There is no stdout to answer on.")
        _write(sys.stdout, f"{printable(line, MAX_ANSWER)}\n")

    def answer_json(self, value: object) -> None:
        """One object on one line, in ASCII and whole.

        :raises ClientError: when stdout is closed.
        """
        if sys.stdout is None:
            raise ClientError("There is no stdout to answer on.")
        _write(sys.stdout, f"{json.dumps(value)}\n")

    def check_stdout(self) -> None:
        """Find out what can be known before writing: that nobody will read it.

        :raises OSError: when stdout is closed, or is a pipe whose reader has left.
        """
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        if sys.platform == "win32":  # pragma: no cover  # which has no poll
            return
        poll = select.poll()
        with suppress(io.UnsupportedOperation):  # it is no file
            poll.register(sys.stdout.fileno(), 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))

    def discard_stdout(self) -> None:
        """Drop what could not be written, or Python tries once more on its way out."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @property
    def width(self) -> int | None:
        """The columns of the terminal that stdout is, if it is one."""
        return shutil.get_terminal_size().columns if _is_tty(sys.stdout) else None

    def confirm(self, question: str, *, otherwise: str) -> None:
        """Ask a human to agree.

        :raises ClientError: when there is nobody to ask, or they don't; ``otherwise`` says
            what has not happened then.
        """
        if not _is_tty(sys.stdin):
            raise ClientError("There is nobody to ask: add --no-input to go on without asking.")
        self.clear()
        _write(sys.stderr, f"{printable(question)} [y/N] ")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise ClientError(otherwise)

    def status(self, text: str) -> None:
        """Draw the status line anew, if it can be."""
        if self.can_redraw:
            text = printable(text)
            _write(sys.stderr, f"\r{text.ljust(self._drawn)}")
            self._drawn = len(text)

    def clear(self) -> None:
        """Take the status line away."""
        if self._drawn:
            _write(sys.stderr, f"\r{' ' * self._drawn}\r")
            self._drawn = 0

    def entered(self, seconds: float) -> bool:
        """Wait so long, or until Enter is pressed, and say whether it was."""
        if not (self._listening and self.is_interactive):
            time.sleep(seconds)
            return False
        if sys.platform == "win32":  # pragma: no cover  # as above
            time.sleep(seconds)
            return bool(msvcrt.kbhit()) and msvcrt.getwch() in "\r\n"
        number = sys.stdin.fileno()
        if not select.select([number], [], [], seconds)[0]:
            return False
        self._listening = bool(os.read(number, 1024))  # no more of it after the end
        return self._listening


class Waiting:
    """A ``sleep`` that shows how long there is, and opens the page on Enter."""

    def __init__(
        self,
        terminal: Terminal,
        deadline: float,
        on_enter: Callable[[], None],
        tick: Callable[[], None],
    ) -> None:
        self._terminal = terminal
        self._deadline = deadline
        self._on_enter = on_enter
        self._tick = tick

    def sleep(self, seconds: float) -> None:
        """Seconds, drawn once in each."""
        clock = self._terminal.clock
        end = clock() + seconds
        while (left := end - clock()) > 0:
            self._draw(self._deadline - clock())
            if self._terminal.entered(min(1.0, left)):
                self._on_enter()
            self._tick()

    def _draw(self, left: float) -> None:
        minutes, seconds = divmod(max(0, int(left)), 60)
        self._terminal.status(f"Waiting for approval… expires in {minutes}:{seconds:02}")


def _is_tty(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _write(stream: TextIO | None, text: str) -> None:
    """What the encoding of the stream lacks is escaped; where there is none, nothing happens."""
    if stream is not None:
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
