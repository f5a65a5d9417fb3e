"""Files that only their owner can read, on POSIX and on Windows."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pikku_auth.client.exceptions import StoreError

if sys.platform == "win32":  # pragma: no cover  # there, the profile's ACL keeps others out
    import msvcrt
else:
    import fcntl

MAX_SIZE = 1_000_000
"""Bytes. Nobody has that many logins."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_OTHERS = 0o077


def make_private_directory(path: Path) -> None:
    """Make ``path`` with mode 0700, or narrow it to that."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path} is a symbolic link, which is not followed: remove it.")
    _refuse_a_foreign_owner(path, found)
    if sys.platform != "win32" and _is_too_wide(found):
        path.chmod(0o700)


def read_private(path: Path) -> bytes | None:
    """The content of ``path``, narrowed to 0600 first; ``None`` when there is no such file.

    At most one byte more than :data:`MAX_SIZE` is read.
    """
    try:
        number = _open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    with open(number, "rb") as file:  # noqa: PTH123  # a descriptor has no path
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is not a file.")
        _refuse_a_foreign_owner(path, found)
        if sys.platform != "win32" and _is_too_wide(found):
            os.fchmod(number, 0o600)
        return file.read(MAX_SIZE + 1)


def replace_private(path: Path, content: bytes) -> None:
    """Make ``path`` hold ``content``, whole or not at all, whenever the machine stops."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp")
    try:
        with open(number, "wb") as file:  # noqa: PTH123  # a descriptor has no path
            file.write(content)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def try_to_write(path: Path) -> None:
    """Write beside ``path``, as :func:`replace_private` would, and remove that again."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_prefix(path), suffix=".tmp") as file:
        file.write(b"{}")
        file.flush()
        os.fsync(file.fileno())


def remove_leftovers(path: Path) -> None:
    """Remove what a killed :func:`replace_private` has left. Hold the lock for this."""
    for leftover in path.parent.glob(f"{_prefix(path)}*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep out every other process that takes the lock ``path``; waits for its turn."""
    number = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        if sys.platform == "win32":  # pragma: no cover  # as above
            msvcrt.locking(number, msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _NO_FOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(
                f"{path} is a symbolic link, which is not followed: remove it."
            ) from None
        raise


def _is_too_wide(found: os.stat_result) -> bool:
    return bool(found.st_mode & _OTHERS)


def _refuse_a_foreign_owner(path: Path, found: os.stat_result) -> None:
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user of this machine.")


def _sync_directory(path: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover  # where a directory can't be opened
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
