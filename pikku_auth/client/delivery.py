"""Handing over a secret, to a place that is known before the secret is made."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pikku_auth.client.exceptions import ClientError
from pikku_auth.client.terminal import Terminal


class Undelivered(ClientError):
    """A key could not be handed over."""

    exit_code = 3


class Delivery:
    """Stdout, or a new file that only its owner can read.

    What can be known is found out on entering, when nothing has been made yet.

    :raises Undelivered: when the place can't be used.
    """

    def __init__(self, path: Path | None, terminal: Terminal) -> None:
        self._path = path
        self._terminal = terminal
        self._file = -1
        self._is_done = False

    def __enter__(self) -> Self:
        try:
            if self._path is None:
                self._terminal.check_stdout()
            else:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Undelivered(
                f"The key could not be handed over ({error.strerror}), so it was not made, and "
                "nothing has changed."
            ) from None
        return self

    def hand_over(self, text: str) -> None:
        """Write the secret.

        :raises OSError: when it can't be written.
        """
        if self._path is None:
            self._print(text)
        else:
            with open(self._file, "wb", closefd=False) as file:  # it has no path
                file.write(f"{text}\n".encode())
                file.flush()
                os.fsync(self._file)
        self._is_done = True

    def _print(self, text: str) -> None:
        try:
            self._terminal.answer(text)
        except OSError:
            self._terminal.discard_stdout()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._path is not None:
            os.close(self._file)
            if not self._is_done:
                self._path.unlink(missing_ok=True)
