"""What CONTRIBUTING.md and the files for contributors name exists."""

from __future__ import annotations

import re
from configparser import ConfigParser

from tests.docs.pages import ROOT, examples, text_of

PAGE = text_of("CONTRIBUTING.md")


def test_the_commands_to_set_up_are_targets_of_make() -> None:
    [console] = examples("CONTRIBUTING.md", "console")
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(console.splitlines()) <= {f"$ make {target}" for target in targets}
    assert set(re.findall(r"\bmake (\w+)", PAGE)) <= set(targets)


def test_each_environment_of_tox_that_is_named_exists() -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    named = re.findall(r"(?:tox |`)-e (\w+)", PAGE)
    assert named
    assert [name for name in named if f"testenv:{name}" not in config] == []


def test_each_path_that_is_named_exists() -> None:
    named = re.findall(r"`((?:pikku_auth|tests|\.ci|\.github)/[\w./]+)`", PAGE)
    named += re.findall(r"\]\(([\w./]+)\)", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_hooks_come_from_packages_and_from_no_git_host() -> None:
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"repo: (.*)", config)) == {"local"}
