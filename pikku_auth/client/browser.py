"""Opening the page where a login is approved, only where a human will see it open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from pikku_auth.client.exceptions import BadUrl
from pikku_auth.client.origins import Origin, origin_of

# In a process of its own, because a browser may block, and may write to the terminal.
_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def can_be_seen(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser that opens now would open in front of who typed the command.

    Where it would not, Python's ``webbrowser`` may start a text browser in the terminal.
    """
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "CI")):
        return False
    if platform in {"win32", "darwin"}:
        return True
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def belongs_to(url: str, origin: Origin) -> bool:
    """Whether ``url`` is a web page of that server."""
    try:
        return origin_of(url) == origin
    except BadUrl:
        return False


class Opener:
    """Opens one page, once, and doesn't wait for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    def open(self) -> None:
        """Start the browser, by ``BROWSER`` if that is set."""
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # the page was checked
                [sys.executable, "-I", "-c", _OPEN, self._url],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def has_just_failed(self) -> bool:
        """Whether it is known by now that no browser opened; says so once."""
        if self._process is None or self._told or self._process.poll() in {None, 0}:
            return False
        self._told = True
        return True
