"""What a command prints: to any encoding, to a reader that leaves, to no stream at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db.models import QuerySet


def why_empty(everything: QuerySet[Any], first: str) -> str:
    """What a list without a row says; ``first`` is how the first row of all comes to be."""
    return "Nothing matches." if everything.exists() else f"There is nothing yet: {first}"


class Unwritable(OSError):
    """The stream is closed, its reader has left, or the disk is full."""


class Stream:
    """A stream that escapes, as JSON does, what its encoding lacks.

    :raises Unwritable: when the stream can't be written.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write ``text``."""
        with _told_as_unwritable():
            self._stream.write(_writable(text, getattr(self._stream, "encoding", None)))

    def flush(self) -> None:
        """Flush; a stream that is closed has nothing left to write."""
        if hasattr(self._stream, "flush") and not getattr(self._stream, "closed", False):
            with _told_as_unwritable():
                self._stream.flush()


@contextmanager
def _told_as_unwritable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(error.errno, error.strerror) from None
    except (ValueError, AttributeError):  # a closed stream, or one that is None
        raise Unwritable(errno.EBADF, "the stream is closed") from None


def discard(stream: Any) -> None:
    """Empty a broken stream, or the interpreter tries it again on exit, and complains."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _writable(text: str, encoding: str | None) -> str:
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_escaped(character, encoding) for character in text)
    return text


def _escaped(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(character)[1:-1]
    return character
