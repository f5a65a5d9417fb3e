"""The README's example, pasted into a new project and run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

from tests.docs.pages import ROOT, examples, text_of


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def paste(project: Path, *, with_login: bool = False) -> None:
    """Append the README's Python blocks to the files that they name."""
    for text in examples("README.md"):
        place = re.match(r"# (\w+\.py)", text)
        assert place
        if with_login or "for the login" not in text:
            with (project / "site_" / place[1]).open("a") as file:
                file.write(f"\n{text}")


CURL = f"""#!{sys.executable}
import sys, time, requests
header, url = sys.argv[-2:]
for _ in range(300):
    try:
        print(requests.get(url, headers=dict([header.split(": ")]), timeout=30).text)
    except requests.ConnectionError:
        time.sleep(0.1)
    else:
        break
"""


def make_curl(project: Path) -> None:
    """As much of curl as the README needs: not every machine has one."""
    curl = project / "curl"
    curl.write_text(CURL)
    curl.chmod(0o755)


def run(script: str, project: Path) -> str:
    """Run a script as a newcomer's shell would, and stop what it leaves running."""
    environment = {
        "PATH": os.pathsep.join(
            [str(project), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "PYTHONPATH": str(ROOT),
    }
    shell = subprocess.Popen(
        ["bash", "-e"], cwd=project, env=environment, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        return shell.communicate(script, timeout=120)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


def test_the_example_works_as_pasted(tmp_path: Path) -> None:
    run("python -m django startproject site_ .", tmp_path)
    paste(tmp_path)
    make_curl(tmp_path)
    console, _, _ = examples("README.md", "console")
    port = str(free_port())
    commands = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
    script = "\n".join(commands).replace("8000", port)
    script = script.replace("&", ">server.log 2>&1 &")
    output = run(f"{script}\nkill %1\n", tmp_path)
    assert console.splitlines()[-1] in output


def test_the_login_can_be_mounted_as_it_says(tmp_path: Path) -> None:
    run("python -m django startproject site_ .", tmp_path)
    paste(tmp_path, with_login=True)
    (tmp_path / "ask.py").write_text(
        """
from django.test import Client
code = Client().post("/auth/device/code", {"client_id": "x"}, "application/json")
page = Client().get(code.json()["verification_uri_complete"], follow=True)
print("ANSWERS", page.redirect_chain[0][1], page.status_code, page.request["PATH_INFO"])
"""
    )
    output = run(
        "export PYTHONWARNINGS=ignore\npython manage.py migrate -v 0\n"
        "python manage.py shell -v 0 -c 'from django.test.utils import setup_test_environment as s;"
        's();exec(open("ask.py").read())\'\npython manage.py check --fail-level WARNING\n',
        tmp_path,
    )
    assert "ANSWERS 302 200 /admin/login/" in output
    assert "System check identified no issues" in output


def test_what_it_says_of_installing_is_so() -> None:
    _, install, see = examples("README.md", "console")
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    assert install == f"$ pip install {config['metadata']['name']}\n"
    makefile, ci, matrix = (
        (ROOT / name).read_text() for name in ("Makefile", ".ci/run", "setup.cfg")
    )
    for command in re.findall(r"^\$ (make \w+)", see, re.MULTILINE):
        assert f"\n{command.removeprefix('make ')}:" in makefile
        assert re.search(rf"^    (step .*)?{command}\b", f"{ci}\n{matrix}", re.MULTILINE)


def test_the_example_is_short() -> None:
    shown = [text for text in examples("README.md") if "for the login" not in text]
    lines = [line for text in shown for line in text.splitlines()]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 24


def test_every_page_that_it_names_exists() -> None:
    pages = re.findall(r"\]\(([\w./-]+\.md)\)", text_of("README.md"))
    assert pages
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def test_it_has_one_picture_and_the_comparison_agrees_with_the_page() -> None:
    readme = text_of("README.md")
    (picture,) = re.findall(r'<img src="([^"]+)"', readme)
    assert (ROOT / picture).is_file()
    rows = re.findall(r"^\| .* \|$", readme.partition("## Beside other")[2], re.MULTILINE)
    assert len(rows) == 8
    page = text_of("choosing.md")
    assert [row for row in rows if row.removesuffix("|") not in page] == []
