"""docs/tutorial-key.md, followed by a newcomer in a new project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.docs.newcomer import Memory, Shell, alike, steps_of
from tests.docs.pages import examples
from tests.test_readme import free_port

PAGE = "tutorial-key.md"
INSTALLING = "$ pip install pikku-auth"

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the new project has a SQLite of its own"
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def test_each_command_says_what_is_shown(shell: Shell, tmp_path: Path) -> None:
    port, memory = str(free_port()), Memory()
    for place, text in steps_of(PAGE):
        if place == INSTALLING:
            continue
        if place.startswith("$ "):
            command = place.removeprefix("$ ").replace("8000", port)
            quiet = command.replace(" &", " >server.log 2>&1 &")
            assert memory.said(shell.type(quiet)) == alike(text), command
        else:
            with (tmp_path / "site_" / place).open("a") as file:
                file.write(f"\n{text}")


def test_the_page_installs_the_package_first() -> None:
    first, *_ = examples("tutorial-key.md", "console")
    assert first == f"{INSTALLING}\n"
    assert len(examples("tutorial-key.md")) == 2
