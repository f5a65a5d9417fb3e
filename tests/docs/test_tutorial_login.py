"""docs/tutorial-login.md, followed by a newcomer in the project of the first tutorial."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection

from tests.docs.newcomer import Memory, Shell, alike, steps_of
from tests.docs.pages import examples
from tests.test_readme import free_port

PASSWORD = "correct-horse-battery"

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the new project has a SQLite of its own"
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    shell.type(f"export DJANGO_SUPERUSER_PASSWORD={PASSWORD}")
    shell.type("django-admin startproject site_ .")
    yield shell
    shell.end()


def write(project: Path, place: str, text: str) -> None:
    is_of_the_site = place in {"settings.py", "urls.py"}
    with (project / "site_" / place if is_of_the_site else project / place).open("a") as file:
        file.write(f"\n{text}")


def test_each_command_says_what_is_shown(
    shell: Shell, in_a_terminal: Callable[..., Any], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for place, text in steps_of("tutorial-key.md"):
        if not place.startswith("$ "):
            write(tmp_path, place, text)
    shell.type("python manage.py migrate --verbosity 0")
    memory = Memory()
    for place, text in steps_of("tutorial-login.md"):
        if not place.startswith("$ "):
            write(tmp_path, place, text.replace("http://127.0.0.1:8000", url))
            continue
        command = place.removeprefix("$ ").replace("8000", url.rpartition(":")[2])
        told = said_to(command, shell, in_a_terminal, url)
        shown = re.sub(r"^Password.*\n", "", text, flags=re.MULTILINE)
        assert memory.said(told).replace(str(tmp_path), "~") == alike(shown), command


def said_to(command: str, shell: Shell, in_a_terminal: Callable[..., Any], url: str) -> str:
    """What the command says, where it asks nobody or is answered as by a human."""
    if command.startswith("pikku-auth login"):
        return logged_in(in_a_terminal, url)
    if "createsuperuser" in command:
        command += " --no-input"  # with the password of the environment
    return shell.type(command.replace(" &", " >server.log 2>&1 &"))


def logged_in(in_a_terminal: Callable[..., Any], url: str) -> str:
    """What the terminal shows of a login that is approved in a browser."""
    wait_for(url)
    running = in_a_terminal("login", "--url", url, DISPLAY=":0")
    asked = running.screen.read_until("to quit)")
    approve(url, asked.partition("one-time code: ")[2].split()[0])
    told = asked + running.screen.read_until("session.json")
    assert running.end() == (0, "")
    told = re.sub(r"\rWaiting for approval[^\r]*|\r *(?=\r)", "", told)
    lines = [line.strip() for line in told.replace("\r", "\n").splitlines()]
    return "\n".join(line for line in lines if line)


def wait_for(url: str) -> None:
    """Until the server answers."""
    session = requests.Session()
    retries = requests.adapters.Retry(total=12, backoff_factor=0.1)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    assert session.get(f"{url}/auth/ok", timeout=30).json() == {"ok": True}


def approve(url: str, code: str) -> None:
    """As a human does, who is asked to sign in first."""
    browser = requests.Session()
    page = browser.get(f"{url}/auth/activate", params={"user_code": code}, timeout=30)
    page = submit(browser, page, username="ada", password=PASSWORD)
    page = submit(browser, page, user_code=code)
    assert code in page.text
    assert "pikku-cli" in submit(browser, page, step="approve").text


def submit(browser: requests.Session, page: requests.Response, **typed: str) -> requests.Response:
    """Send the form of the page, with its hidden fields."""
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    answer = browser.post(page.url, {**hidden, **typed}, headers={"Referer": page.url}, timeout=30)
    assert answer.ok, answer.text
    return answer


def test_the_page_writes_three_files() -> None:
    files = examples("tutorial-login.md")
    assert [text.split()[1].strip(",") for text in files] == ["settings.py", "urls.py", "ask.py"]
    assert examples("tutorial-login.md", "console")
