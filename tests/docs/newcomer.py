"""Somebody who follows a tutorial: types each command in a shell and compares what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.docs.pages import ROOT, blocks

END = "--- end of a command ---"

CURL = f"""#!{sys.executable}
import argparse, sys, time, requests
parser = argparse.ArgumentParser()
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-X", default="GET")
parser.add_argument("url")
given = parser.parse_args()
headers = dict(header.split(": ") for header in given.H)
for _ in range(300):
    try:
        sys.stdout.write(requests.request(given.X, given.url, headers=headers, timeout=30).text)
    except requests.ConnectionError:
        time.sleep(0.1)
    else:
        break
"""
"""As much of curl as the tutorials need: not every machine has one."""


class Shell:
    """A shell in a folder, whose commands are typed one after another."""

    def __init__(self, folder: Path) -> None:
        curl = folder / "curl"
        curl.write_text(CURL)
        curl.chmod(0o755)
        own = [str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment = {
            "PATH": os.pathsep.join(own),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(folder),
            "USER": "ada",
            "LOGNAME": "ada",
            "LC_ALL": "C.UTF-8",
        }
        self._process = subprocess.Popen(
            ["bash"], cwd=folder, env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> str:
        """What the command says, on stdout and on stderr."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\necho; echo '{END}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line == f"{END}\n":
                break
            lines.append(line)
        return "".join(lines).strip()

    def end(self) -> None:
        """Stop the shell and what it leaves running."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def steps_of(page: str) -> Iterator[tuple[str, str]]:
    """The files to extend, as ``("settings.py", text)``, and the commands, as ``("$ …", said)``."""
    for language, text in blocks(page):
        if language == "python":
            place = re.match(r"# (\w+\.py)", text)
            assert place, text
            yield place[1], text
        else:
            for shown in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
                command, _, said = shown.partition("\n")
                yield f"$ {command}", said.strip()


PREVIEWS = ["Ab12Cd34", "Ef56Gh78", "Ij90Kl12"]
"""What the pages show of the first secret, of the second one, and so on."""


class Memory:
    """What differs from run to run is made as the pages show it: secrets, times, codes."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def said(self, text: str) -> str:
        """What a command has said, with the secrets of the pages."""
        return alike(re.sub(r"(?<=\bpk[as]_)\w{8}", self._preview, text))

    def _preview(self, found: re.Match[str]) -> str:
        return self._shown.setdefault(found[0], PREVIEWS[len(self._shown) % len(PREVIEWS)])


def alike(text: str) -> str:
    """The text with one time, one code and one port."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2027-02-25 10:00 UTC", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-27 10:00:00", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)
    return re.sub(r"\b[A-Z]{4}-[A-Z]{4}\b", "WDJB-MJHT", text)
