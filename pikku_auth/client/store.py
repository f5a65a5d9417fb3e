"""``~/.pikku/session.json``: the logins of this human, shared with the Pikku CLI."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pikku_auth.client import files
from pikku_auth.client.exceptions import BadUrl, StoreError
from pikku_auth.client.models import (
    ENTRY_FIELDS,
    Login,
    entry_from_login,
    login_from_entry,
)
from pikku_auth.client.origins import Origin, is_same_server, origin_of_base, path_of_base

Document = dict[str, Any]
_TIMES_READ = 10
_SECONDS_BETWEEN = 0.05
_logger = logging.getLogger("pikku_auth.client")


class Store:
    """The file, read anew each time: another program may have changed it.

    ``report`` is told in one line when a file is damaged. Reading leaves it where it is, because
    another program may be writing it; the next change sets it aside.
    """

    def __init__(
        self, path: Path | None = None, report: Callable[[str], object] = _logger.warning
    ) -> None:
        self._path = path
        self._report = report

    @property
    def path(self) -> Path:
        """The file.

        :raises StoreError: when the user has no home directory, which a key does not need.
        """
        if self._path is None:
            self._path = default_path()
        return self._path

    def require_writable(self) -> None:
        """Find out whether a login could be kept, before a human is asked for one.

        :raises StoreError: when it could not.
        """
        self.current()
        with _told_as_store_error(self.path), self._locked():
            files.try_to_write(self.path)

    def current(self) -> Login | None:
        """The login that was made last, or that is left."""
        with _told_as_store_error(self.path):
            document = self._read()
        key = document.get("current")
        return _login(document, key) if isinstance(key, str) else None

    def logins(self) -> list[Login]:
        """Every login, in the order of the file."""
        with _told_as_store_error(self.path):
            return [*_logins(self._read())]

    def find(self, base_url: str) -> Login | None:
        """The login at this server: same origin, same path."""
        with _told_as_store_error(self.path):
            document = self._read()
        key = _key_of(document, base_url)
        return None if key is None else _login(document, key)

    def find_by_origin(self, origin: Origin, path: str) -> Login | None:
        """The login for a request to ``path`` at ``origin``.

        Of several, the one whose own path leads furthest to ``path``, else the current one.
        """
        with _told_as_store_error(self.path):
            document = self._read()
        logins = [login for login in _logins(document) if _is_at(login.base_url, origin)]

        def closeness(login: Login) -> tuple[int, bool]:
            own = f"{path_of_base(login.base_url)}/"
            covers = len(own) if f"{path}/".startswith(own) else 0
            return covers, login.base_url == document.get("current")

        return max(logins, key=closeness, default=None)

    def save(self, login: Login) -> None:
        """Keep a login, in place of the last one at that server, and make it current."""
        with self._changing() as document:
            sessions = document["sessions"]
            key = _key_of(document, login.base_url) or login.base_url
            _put(sessions, key, login)
            document["current"] = key

    def renew(self, login: Login, expires_at: str | None) -> None:
        """Note a new expiry, if that login is still the one that is kept."""
        with self._changing() as document:
            kept = _login(document, login.base_url)
            if kept is not None and kept.access_token == login.access_token:
                _put(document["sessions"], login.base_url, replace(kept, expires_at=expires_at))

    def forget(self, login: Login) -> None:
        """Remove a login, if it is still the one that is kept.

        The first that is left becomes current; a file without any is deleted.
        """
        with self._changing() as document:
            kept = _login(document, login.base_url)
            if kept is not None and kept.access_token == login.access_token:
                _remove(document, login.base_url)

    @contextmanager
    def _changing(self) -> Iterator[Document]:
        """The content, to be changed in place; nobody else changes it meanwhile."""
        with _told_as_store_error(self.path), self._locked():
            files.remove_leftovers(self.path)
            document = self._parsed_or_set_aside()
            document["sessions"] = document.get("sessions") or {}
            before = copy.deepcopy(document)
            yield document
            if document == before:
                return
            if document == {"sessions": {}}:
                self.path.unlink(missing_ok=True)
            else:
                files.replace_private(self.path, _written(document))

    def _read(self) -> Document:
        """The content; ``sessions`` may be absent or ``None``."""
        if self.path.parent.exists():
            files.make_private_directory(self.path.parent)
        document = self._parsed()
        if document is None:
            self._report(f"{self.path} is damaged, so no login is read from it. Log in again.")
        return document or {}

    def _parsed(self) -> Document | None:
        """The content; ``None`` if it is damaged, and not only half written."""
        for _ in range(_TIMES_READ):
            content = files.read_private(self.path)
            try:
                return {} if content is None else _parsed(content)
            except ValueError:
                time.sleep(_SECONDS_BETWEEN)
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        files.make_private_directory(self.path.parent)
        with files.locked(self.path.with_name(f"{self.path.name}.lock")):
            yield

    def _parsed_or_set_aside(self) -> Document:
        document = self._parsed()
        if document is None:
            aside = self._free_name()
            self.path.rename(aside)
            self._report(f"{self.path} was damaged, so it is now {aside}")
        return document or {}

    def _free_name(self) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name, number = f"{self.path.name}.corrupt-{stamp}", 1
        aside = self.path.with_name(name)
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{name}-{number}")
        return aside


def default_path() -> Path:
    """Where the Pikku CLI keeps its logins too."""
    try:
        return Path.home() / ".pikku" / "session.json"
    except RuntimeError:
        raise StoreError("This user has no home directory: set HOME.") from None


@contextmanager
def _told_as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}.") from None


def _parsed(content: bytes) -> Document:
    """:raises ValueError: when these are not logins."""
    if len(content) > files.MAX_SIZE:
        raise ValueError("too long")
    try:
        document = json.loads(content, parse_constant=_finite, parse_float=_finite)
        _written(document)  # which recurses deeper than reading
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(document, dict) or not isinstance(document.get("sessions"), dict | None):
        raise ValueError("of another form")
    return document


def _finite(text: str) -> float:
    """JSON has no infinity, so none could be written back."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a number of JSON")
    return number


def _written(document: Document) -> bytes:
    return json.dumps(document, indent=2, allow_nan=False).encode("ascii")


def _logins(document: Document) -> Iterator[Login]:
    for key, entry in (document.get("sessions") or {}).items():
        login = login_from_entry(key, entry)
        if login is not None:
            yield login


def _login(document: Document, key: str) -> Login | None:
    return login_from_entry(key, (document.get("sessions") or {}).get(key))


def _key_of(document: Document, base_url: str) -> str | None:
    sessions = document.get("sessions") or {}
    if base_url in sessions:
        return base_url
    return next((key for key in sessions if is_same_server(key, base_url)), None)


def _is_at(base_url: str, origin: Origin) -> bool:
    try:
        return origin_of_base(base_url) == origin
    except BadUrl:
        return False


def _put(sessions: Document, key: str, login: Login) -> None:
    """Write the fields that are known; those of a newer program stay."""
    entry = sessions.get(key)
    others = entry.items() if isinstance(entry, dict) else ()
    unknown = {name: value for name, value in others if name not in ENTRY_FIELDS}
    sessions[key] = {**entry_from_login(replace(login, base_url=key)), **unknown}


def _remove(document: Document, key: str) -> None:
    sessions = document["sessions"]
    del sessions[key]
    if document.get("current") == key:
        del document["current"]
        if sessions:
            document["current"] = next(iter(sessions))
