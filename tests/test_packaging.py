"""What is promised to whoever installs the package, and that the files agree about it."""

from __future__ import annotations

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import pikku_auth

ROOT = Path(__file__).parent.parent
CELLS = ("sqlite", "postgresql", "oldest", "bare")


def setup_cfg() -> ConfigParser:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    return config


def lines(section: str, option: str) -> list[str]:
    return setup_cfg()[section][option].strip().splitlines()


def requirements() -> dict[str, Requirement]:
    found = map(Requirement, lines("options", "install_requires"))
    return {requirement.name: requirement for requirement in found}


def classified(prefix: str) -> set[str]:
    """What follows ``prefix`` in the classifiers, where it is a version like ``5.2``."""
    matches = (re.fullmatch(rf"{prefix} :: (\d+\.\d+)", line) for line in classifiers())
    return {match[1] for match in matches if match}


def classifiers() -> list[str]:
    return lines("metadata", "classifiers")


def test_only_three_packages_come_along() -> None:
    assert set(requirements()) == {"Django", "djangorestframework", "requests"}


@pytest.mark.parametrize(
    ("name", "version", "accepted"),
    [
        ("Django", "5.1.9", False),
        ("Django", "5.2", True),
        ("Django", "5.2.12", True),
        ("Django", "6.0.3", True),
        ("Django", "6.2", True),
        ("djangorestframework", "3.15.2", False),
        ("djangorestframework", "3.16.0", True),
        ("requests", "2.30.0", False),
        ("requests", "2.31.0", True),
    ],
)
def test_every_version_that_works_is_accepted(name: str, version: str, accepted: bool) -> None:
    """Also one with a known hole: a check warns of it, and a pinned project can be installed."""
    assert requirements()[name].specifier.contains(version) is accepted


def of_cell(name: str, option: str) -> str:
    """An option of a cell of the matrix, or what all of them have."""
    config = setup_cfg()
    return config[f"testenv:{name}"].get(option, config["testenv"][option]).strip()


@pytest.mark.parametrize("name", ["Django", "djangorestframework", "requests"])
def test_the_oldest_version_that_is_accepted_is_tested(name: str) -> None:
    pins = {pin.name: pin for pin in map(Requirement, of_cell("oldest", "deps").splitlines())}
    [pinned] = pins[name].specifier
    [floor] = [one for one in requirements()[name].specifier if one.operator == ">="]
    assert (pinned.operator, Version(pinned.version)) == ("==", Version(floor.version))


def test_the_classifiers_name_what_is_tested() -> None:
    pythons = {of_cell(name, "base_python").removeprefix("python") for name in CELLS}
    djangos = re.findall(
        r"^Django==(\d+\.\d+)", "\n".join(of_cell(n, "deps") for n in CELLS), re.MULTILINE
    )
    assert pythons == classified("Programming Language :: Python")
    assert set(djangos) == classified("Framework :: Django")


def test_every_file_names_the_same_oldest_python() -> None:
    oldest = min(classified("Programming Language :: Python"), key=Version)
    config = setup_cfg()
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert config["options"]["python_requires"] == f">={oldest}"
    assert config["mypy"]["python_version"] == oldest
    assert ruff["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"({oldest.replace('.', ', ')})" in (ROOT / "Makefile").read_text()


def test_the_changelog_begins_with_this_version_or_with_what_is_unreleased() -> None:
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] in {pikku_auth.__version__, "Unreleased"}


def test_the_version_is_written_in_one_place() -> None:
    assert setup_cfg()["metadata"]["version"] == "attr: pikku_auth.__version__"
    assert str(Version(pikku_auth.__version__)) == pikku_auth.__version__


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (Path(pikku_auth.__file__).parent / "py.typed").is_file()
    assert "py.typed" in lines("options.package_data", "pikku_auth")
    assert "Typing :: Typed" in classifiers()


def test_the_licence_is_mit() -> None:
    assert setup_cfg()["metadata"]["license_expression"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
