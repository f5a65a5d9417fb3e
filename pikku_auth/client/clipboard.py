"""The clipboard, where the system has a program for it."""

from __future__ import annotations

import shutil
import subprocess

_PROGRAMS = (["pbcopy"], ["wl-copy"], ["xclip", "-selection", "clipboard"], ["clip.exe"])
_SECONDS = 5.0


def copy(text: str) -> bool:
    """Put ``text`` there. ``False`` if no program could; that must not stop a login."""
    for program in _PROGRAMS:
        path = shutil.which(program[0])
        if path is not None and _fed([path, *program[1:]], text):
            return True
    return False


def _fed(command: list[str], text: str) -> bool:
    try:
        # Not captured: xclip stays behind to serve what it holds, and would keep a pipe open.
        done = subprocess.run(  # noqa: S603  # a program of the list above
            command,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
