"""What docs/operations.md, docs/backups.md and docs/privacy.md show, run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models.signals import pre_delete

from pikku_auth.flows import IssuedKey, mint_key, revoke_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.docs.pages import ROOT, examples, names_of
from tests.logins import logged_in
from tests.processes import PATIENCE

Mint = Callable[..., IssuedKey]


def run(line: str) -> None:
    """One line of a console, or of a crontab, that calls manage.py."""
    words = shlex.split(line.partition("python manage.py ")[2])
    call_command(*words)


@pytest.mark.django_db
def test_each_line_of_the_crontab_runs(service_user: ServiceUser) -> None:
    (crontab,) = examples("operations.md", "crontab")
    lines = [line for line in crontab.splitlines() if "manage.py" in line]
    assert len(lines) == 3
    for line in lines:
        run(line)


@pytest.mark.django_db
def test_contacts_are_set_as_is_shown() -> None:
    contacts, _ = examples("operations.md", "console")
    for line in contacts.splitlines():
        run(line)
    assert ServiceUser.objects.get().contacts == ["ops@example.com", "ada@example.com"]


@pytest.mark.django_db
def test_a_key_that_nobody_uses_ends_in_two_steps(service_user: ServiceUser) -> None:
    key = mint_key(service_user).key
    _, console = examples("operations.md", "console")
    states = []
    for line in console.splitlines():
        run(line.replace("pka_Ab12Cd34", key.preview))
        key.refresh_from_db()
        states.append((key.enabled, key.revoke_reason))
    assert states == [(False, ""), (True, ""), (True, "nobody uses it")]


class Machine:
    """A machine with the script of the page, on a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (script,) = examples("operations.md", "sh")
        there = {"/etc/sandbox": str(folder), "/srv/site": str(ROOT)}
        for path, here in there.items():
            script = script.replace(path, here)
        (folder / "script").write_text(script)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>"{folder}/reloaded"\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        self.env = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "PATH": f"{programs}:{os.environ['PATH']}",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip

    def key(self) -> str:
        return (self.folder / "key.env").read_text().removeprefix("PIKKU_API_KEY=").strip()


def test_the_script_rotates_a_key_and_leaves_the_old_one_where_it_fails(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.run("python", "manage.py", "migrate", "-v", "0").returncode == 0
    keys = []
    for told in ("expires", "ends within 2d"):
        done = machine.run("sh", str(tmp_path / "script"))
        assert (done.returncode, done.stdout) == (0, "")
        assert told in done.stderr
        keys.append(machine.key())
    old, new = keys
    assert old != new
    assert (tmp_path / "key.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "reloaded").read_text() == "reload sandbox\n" * 2
    assert list(tmp_path.glob(".key.*")) == []
    machine.env["DATABASE_URL"] = f"sqlite:///{tmp_path}/nowhere/db.sqlite3"
    failed = machine.run("sh", str(tmp_path / "script"))
    assert failed.returncode == 1
    assert machine.key() == new
    assert list(tmp_path.glob(".key.*")) == []
    assert (tmp_path / "reloaded").read_text() == "reload sandbox\n" * 2


@pytest.mark.django_db
def test_the_audit_trail_is_kept_and_done_again(
    mint: Mint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = mint().key
    revoke_key(key)
    capsys.readouterr()
    (crontab,) = examples("backups.md", "crontab")
    command, target = crontab.strip().split(" >>")
    run(command)
    file = tmp_path / "events.jsonl"
    file.write_text(capsys.readouterr().out)
    APIKey.objects.update(revoked_at=None)
    (console,) = examples("backups.md", "console")
    for line in console.splitlines()[1:]:
        assert target in line
        run(line.replace(target, str(file)))
    key.refresh_from_db()
    assert key.revoked_at is not None


@pytest.mark.django_db
def test_addresses_are_forgotten_as_is_shown() -> None:
    (console,) = examples("privacy.md", "console")
    run(console)


@pytest.mark.django_db
def test_who_is_deleted_is_forgotten(make_user: Callable[..., Any]) -> None:
    ada = make_user("ada")
    logged_in(ada)
    name, made = ada.get_username(), names_of("privacy.md")
    try:
        ada.delete()
    finally:
        assert pre_delete.disconnect(sender=type(ada), dispatch_uid="forget_human")
    assert made["forget"]
    said = repr(list(AuditEvent.objects.values()))
    assert name not in said
    assert "of a forgotten human" in said
