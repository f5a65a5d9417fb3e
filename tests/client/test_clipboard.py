"""The code in the clipboard: if asked for, if the system can, and never at the login's cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from pikku_auth.client import cli, clipboard
from tests.client.servers import USER_CODE, DeviceServer


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which all programs are looked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


KEEP = 'while read -r line || [ -n "$line" ]; do echo "$line"; done > "${0%/*}/kept"'


@pytest.mark.parametrize("name", ["pbcopy", "wl-copy", "xclip", "clip.exe"])
def test_the_systems_own_program_gets_the_text(programs: Path, name: str) -> None:
    install(programs, name, KEEP)
    assert clipboard.copy(USER_CODE)
    assert (programs / "kept").read_text().strip() == USER_CODE


def test_without_a_program_nothing_is_copied(programs: Path) -> None:
    assert not clipboard.copy(USER_CODE)


def test_where_one_program_fails_the_next_is_tried(programs: Path) -> None:
    install(programs, "wl-copy", "exit 1")
    install(programs, "xclip", KEEP)
    assert clipboard.copy(USER_CODE)


def test_a_program_that_hangs_is_given_up(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "_SECONDS", 0.2)
    install(programs, "wl-copy", "while :; do :; done")
    assert not clipboard.copy(USER_CODE)


def test_a_program_that_can_not_be_run_is_given_up(programs: Path) -> None:
    install(programs, "wl-copy", "")
    (programs / "wl-copy").write_text("neither a script nor a program\0")
    assert not clipboard.copy(USER_CODE)


@pytest.mark.parametrize(
    ("script", "said"), [(KEEP, "It is in your clipboard."), ("exit 1", "It could not be copied.")]
)
def test_login_copies_if_asked_and_goes_on_either_way(
    server: DeviceServer,
    programs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    said: str,
) -> None:
    monkeypatch.setattr("pikku_auth.client.device_flow.MARGIN", 0.0)
    install(programs, "wl-copy", script)
    assert cli.main(["login", "--url", server.url, "--no-browser", "--copy"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told.index(said) == told.index(USER_CODE) + 1
