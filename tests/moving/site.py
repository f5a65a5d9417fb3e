"""A project on another package, with callers, that is moved by the commands of the guide."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.docs.pages import ROOT, examples
from tests.processes import PATIENCE, running, wait_until

PROJECT = Path(__file__).parent / "project"

VIEWS = """\
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
{imports}

@api_view()
@permission_classes([{permission}])
def reports(request):
    return Response({{"user": request.user.get_username()}})
"""

KEYS_ONLY = VIEWS.format(
    imports="from pikku_auth.rest_framework import HasScope",
    permission='HasScope("reports:read")',
)

Answers = dict[str, tuple[int, str | None]]
"""By the name of a caller: the status, and whom the view has seen."""


class Site:
    """The project; ``header`` is what its callers send, up to their secret."""

    def __init__(self, folder: Path, *, header: str) -> None:
        self.folder = folder / "project"
        self.header = header
        shutil.copytree(PROJECT, self.folder)

    def append(self, *texts: str) -> None:
        """Add to the settings."""
        with (self.folder / "settings.py").open("a") as file:
            file.write("\n" + "\n".join(texts))

    def write_views(self, text: str) -> None:
        (self.folder / "views.py").write_text(text)

    def join(self) -> None:
        """Paste the README's lines, and migrate."""
        settings, *_ = examples("README.md")
        self.append(settings)
        self.manage("migrate")

    def start(self, *arguments: str) -> tuple[list[str], dict[str, Any]]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        return [sys.executable, "manage.py", *arguments], {"cwd": self.folder, "env": environment}

    def manage(self, *arguments: str, status: int = 0) -> str:
        """What a command says on stdout, and on stderr if it fails."""
        command, options = self.start(*arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, **options
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    def type(self, console: str) -> str:
        """Type the commands of an example, and return what they print."""
        commands = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
        return "".join(self.manage(*shlex.split(command)[2:]) for command in commands)

    def python(self, code: str) -> Any:
        """Run ``code`` in the project, and return what it calls ``told``."""
        told = self.manage(
            "shell", "-v", "0", "-c", f"{code}\nimport json; print(json.dumps(told))"
        )
        return json.loads(told.splitlines()[-1])

    @contextmanager
    def serving(self) -> Iterator[str]:
        """A server of the project, until the end of the block."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command, options = self.start("runserver", "--noreload", "--skip-checks", str(port))
        log = self.folder / "server.log"

        def answers() -> bool:
            assert server.poll() is None, log.read_text()
            with socket.socket() as peer:
                return peer.connect_ex(("127.0.0.1", port)) == 0

        with (
            log.open("a") as output,
            running(command, stdout=output, stderr=output, **options) as server,
        ):
            wait_until(answers, "the server did not start")
            yield f"http://127.0.0.1:{port}"

    def answers(
        self, secrets: dict[str, str], *, until: Callable[[], bool] = lambda: True
    ) -> Answers:
        """What each caller is answered, by a server that runs ``until`` something has happened."""
        with self.serving() as url:
            told = answers_of(url, self.header, secrets)
            wait_until(until, "it has not happened after the response")
            return told


def answers_of(url: str, header: str, secrets: dict[str, str]) -> Answers:
    """What each caller is answered by the server at ``url``."""
    name, _, before = header.partition(": ")
    told = {}
    for caller, secret in secrets.items():
        headers = {name: f"{before}{secret}"}
        answer = requests.get(f"{url}/reports/", headers=headers, timeout=PATIENCE)
        told[caller] = answer.status_code, answer.json().get("user")
    return told


def printed_in(console: str) -> str:
    """What an example shows of the answers."""
    return "".join(f"{line}\n" for line in console.splitlines() if not line.startswith("$ "))


def blurred(text: str) -> list[str]:
    """Lines without what differs from run to run; those of one command in any order."""
    text = re.sub(r"\w{6,8}…", "X…", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "T", text)
    return sorted(text.splitlines())
