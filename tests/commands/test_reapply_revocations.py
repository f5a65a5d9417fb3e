"""``manage.py reapply_revocations``: what a restored backup has undone is done again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet

from pikku_auth.flows import (
    IssuedKey,
    activate_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    import_key,
    mint_key,
    rename_key,
    revoke_key,
    revoke_login,
    rotate_key,
    set_key_bounds,
    set_service_user_scopes,
)
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser
from tests.docs.pages import ROOT
from tests.families import child_of, parent_of
from tests.logins import logged_in
from tests.processes import PATIENCE

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]
HOUR = timedelta(hours=1)


class Site:
    """The example project in processes of its own, with a database that can be put back."""

    def __init__(self, url: str) -> None:
        is_bare = find_spec("drf_spectacular") is None  # which the example wants
        module = "tests.settings_bare" if is_bare else "example_project.settings"
        settings = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": module}
        self._env = {**os.environ, **settings, "DEBUG": "1"}

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self._env, check=True, capture_output=True, text=True, timeout=PATIENCE,
        ).stdout  # fmt: skip

    def status_for(self, key: str) -> int:
        """What the API answers to ``key``."""
        code = (
            "import os; from django.test import Client; "
            "answer = Client().get('/auth/whoami', headers={'x-api-key': os.environ['KEY']}); "
            "print(answer.status_code)"
        )
        self._env["KEY"] = key
        return int(self.manage("shell", "-v", "0", "-c", code))


def restored_story(site: Site, tmp_path: Path, dump: Any, restore: Any, style: str) -> None:
    """A dump, a leak, a restore: the leaked key is dead again after the command."""
    site.manage("migrate", "-v", "0")
    key, other = (
        site.manage("mint_key", "--service", "sandbox-runtime", "--create", "--name", name).strip()
        for name in ("leaked", "good")
    )
    dump()
    site.manage("revoke_key", key[:12], "--reason", "found in a log", "--no-input")
    assert (site.status_for(key), site.status_for(other)) == (401, 200)
    export = tmp_path / "events"
    export.write_text(site.manage("list_events", "--limit", "1000", "--format", style))
    restore()
    assert site.status_for(key) == 200  # the hole
    told = site.manage("reapply_revocations", "--from", str(export))
    assert told == f"leaked ({key[:12]}…) of sandbox-runtime: revoked\n"
    assert (site.status_for(key), site.status_for(other)) == (401, 200)
    assert site.manage("reapply_revocations", "--from", str(export)) == ""


def test_a_key_that_a_copied_file_has_revived_is_dead_again(tmp_path: Path) -> None:
    file, copy = tmp_path / "db.sqlite3", tmp_path / "copy.sqlite3"

    def restore() -> None:
        for extra in ("-wal", "-shm"):
            Path(f"{file}{extra}").unlink(missing_ok=True)
        shutil.copyfile(copy, file)

    def dump() -> None:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)

    restored_story(Site(f"sqlite:///{file}"), tmp_path, dump, restore, "json")


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is for PostgreSQL")
def test_a_key_that_pg_restore_has_revived_is_dead_again(tmp_path: Path) -> None:
    given, name = connection.settings_dict, f"pikku_restored_{os.getpid()}"
    password = f":{quote(given['PASSWORD'])}" if given["PASSWORD"] else ""
    where = f"{quote(given['USER'])}{password}@{quote(given['HOST'], safe='')}:{given['PORT']}"
    url, file = f"postgres://{where}/{name}", tmp_path / "dump"

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def dump() -> None:
        subprocess.run(["pg_dump", "-Fc", "-f", file, url], check=True)

    def restore() -> None:
        execute(f"DROP DATABASE {name}")
        execute(f"CREATE DATABASE {name}")
        subprocess.run(["pg_restore", "-d", url, file], check=True)

    execute(f"CREATE DATABASE {name}")
    try:
        restored_story(Site(url), tmp_path, dump, restore, "jsonl")
    finally:
        execute(f"DROP DATABASE IF EXISTS {name}")


def export(tmp_path: Path) -> Path:
    """All events, as the command writes them."""
    file = tmp_path / "events.json"
    with file.open("w") as out:
        call_command("list_events", "--limit", "1000", "--format", "json", stdout=out)
    return file


class Backup:
    """What the tables were like when it was made."""

    def __init__(self) -> None:
        self._rows = {
            model: list(model._default_manager.values())
            for model in (ServiceUser, APIKey, LoginSession)
        }
        self._events = set(AuditEvent.objects.values_list("pk", flat=True))

    def restore(self) -> None:
        """Put them back: what was made since is gone."""
        QuerySet(AuditEvent).exclude(pk__in=self._events).delete()
        for model, rows in reversed(self._rows.items()):
            model._default_manager.exclude(pk__in=[row["id"] for row in rows]).delete()
        for model, rows in self._rows.items():
            for row in rows:
                model._default_manager.filter(pk=row["id"]).update(**row)


def reapply(file: Path, capsys: Output, *arguments: str) -> list[str]:
    """The lines that it writes."""
    capsys.readouterr()
    call_command("reapply_revocations", "--from", str(file), *arguments)
    return capsys.readouterr().out.splitlines()


@pytest.mark.django_db
class TestWhatIsDoneAgain:
    """Each act that ends or stops something, on the row that it was about."""

    def test_a_key_is_revoked_with_its_children_and_its_reason(
        self, service_user: ServiceUser, tmp_path: Path, capsys: Output
    ) -> None:
        parent = parent_of(service_user)
        child = child_of(parent)
        backup = Backup()
        revoke_key(parent.key, reason="leaked")
        file = export(tmp_path)
        backup.restore()
        assert reapply(file, capsys) == [f"{parent.key} of sandbox-runtime: revoked"]
        key = APIKey.objects.get(pk=parent.key.pk)
        assert (key.revoke_reason, key.revoked_at is None) == ("leaked", False)
        child.key.refresh_from_db()
        assert child.key.revoked_at is not None
        assert reapply(file, capsys) == []

    def test_a_key_is_found_by_its_beginning_and_not_by_an_id_that_another_has_now(
        self, mint: Mint, tmp_path: Path, capsys: Output
    ) -> None:
        key, other = mint().key, mint().key
        backup = Backup()
        rename_key(key, "renamed")
        revoke_key(key)
        file = export(tmp_path)
        events = json.loads(file.read_text())
        for event in events:
            event["key_id"] = other.pk
        file.write_text(json.dumps(events))
        backup.restore()
        assert reapply(file, capsys) == [f"renamed ({key.preview}…) of sandbox-runtime: revoked"]
        other.refresh_from_db()
        assert other.revoked_at is None
        assert APIKey.objects.get(pk=key.pk).revoke_reason == "revoked before the restore"

    def test_keys_that_look_alike_are_left_to_people_unless_the_id_tells(
        self, service_user: ServiceUser, tmp_path: Path, capsys: Output
    ) -> None:
        keys = [import_key(service_user, digest=str(n) * 64, preview="sk_live_") for n in (1, 2)]
        backup = Backup()
        revoke_key(keys[1])
        file = export(tmp_path)
        backup.restore()
        without = [{**event, "key_id": None} for event in json.loads(file.read_text())]
        unknown = tmp_path / "unknown.json"
        unknown.write_text(json.dumps([one for one in without if one["action"] == "key_revoked"]))
        (told,) = reapply(unknown, capsys)
        assert "several keys look like this one" in told
        assert len(reapply(file, capsys)) == 1
        assert [key.revoked_at is None for key in APIKey.objects.order_by("pk")] == [True, False]

    def test_a_login_is_ended(
        self, make_user: Callable[..., Any], tmp_path: Path, capsys: Output
    ) -> None:
        login = logged_in(make_user()).login
        backup = Backup()
        revoke_login(login, reason="lost laptop")
        file = export(tmp_path)
        backup.restore()
        (told,) = reapply(file, capsys)
        assert told.endswith(": ended")
        login.refresh_from_db()
        assert login.revoke_reason == "lost laptop"
        assert reapply(file, capsys) == []

    def test_what_was_stopped_is_stopped_and_what_went_on_goes_on(
        self, mint: Mint, service_user: ServiceUser, tmp_path: Path, capsys: Output
    ) -> None:
        stopped, went_on = mint(name="stopped").key, mint(name="went on").key
        backup = Backup()
        disable_key(stopped)
        disable_key(went_on)
        rename_key(went_on, "goes on")
        enable_key(went_on)
        deactivate_service_user(service_user)
        file = export(tmp_path)
        backup.restore()
        assert reapply(file, capsys, "--dry-run") == [
            f"{stopped} of sandbox-runtime: would be disabled",
            "sandbox-runtime: would be deactivated",
        ]
        assert reapply(file, capsys) == [
            f"{stopped} of sandbox-runtime: disabled",
            "sandbox-runtime: deactivated",
        ]
        assert reapply(file, capsys) == []
        enable_key(APIKey.objects.get(name="stopped"))
        activate_service_user(ServiceUser.objects.get())
        assert reapply(file, capsys) == []

    def test_a_key_that_was_rotated_ends_when_its_overlap_is_over(
        self, mint: Mint, tmp_path: Path, capsys: Output
    ) -> None:
        soon, late, known = mint(name="soon").key, mint(name="late").key, mint(name="known").key
        rotate_key(known)
        backup = Backup()
        rotate_key(soon, overlap=timedelta(microseconds=1))
        successor = rotate_key(late, overlap=HOUR).key
        file = export(tmp_path)
        backup.restore()
        told = reapply(file, capsys)
        assert f"{soon} of sandbox-runtime: revoked, because it was rotated" in told
        assert (
            f"{late} of sandbox-runtime: was rotated and lives on; run this again when it is to end"
        ) in told
        assert (
            f"{successor} of sandbox-runtime: made since the backup and gone; "
            "its callers need a new key"
        ) in told
        assert len(told) == 4
        ended = APIKey.objects.filter(revoked_at__isnull=False)
        assert [key.name for key in ended] == ["soon"]

    def test_of_keys_that_were_made_since_only_those_are_named_that_somebody_misses(
        self, mint: Mint, tmp_path: Path, capsys: Output
    ) -> None:
        backup = Backup()
        revoke_key(mint(name="revoked").key)
        mint(name="expired", lifetime=HOUR, now=datetime.now(UTC) - 2 * HOUR)
        missed, endless = mint(name="missed").key, mint(name="endless", lifetime=None).key
        file = export(tmp_path)
        backup.restore()
        told = "made since the backup and gone; its callers need a new key"
        assert sorted(reapply(file, capsys)) == [
            f"{endless} of sandbox-runtime: {told}",
            f"{missed} of sandbox-runtime: {told}",
        ]

    def test_ceilings_and_bounds_are_left_to_people(
        self, mint: Mint, service_user: ServiceUser, tmp_path: Path, capsys: Output
    ) -> None:
        key = mint().key
        set_key_bounds(key, networks=["192.0.2.0/24"])
        backup = Backup()
        set_key_bounds(key, networks=["198.51.100.0/24"])
        set_service_user_scopes(service_user, ["sandbox:read"])
        file = export(tmp_path)
        backup.restore()
        assert reapply(file, capsys) == [
            f"{key} of sandbox-runtime: set its networks and limits again, by set_key_bounds",
            "sandbox-runtime: set its ceiling, by set_service_user_scopes",
        ]

    def test_a_dry_run_revokes_nothing(
        self, mint: Mint, make_user: Callable[..., Any], tmp_path: Path, capsys: Output
    ) -> None:
        key, login = mint().key, logged_in(make_user()).login
        backup = Backup()
        revoke_key(key)
        revoke_login(login)
        file = export(tmp_path)
        backup.restore()
        assert len(reapply(file, capsys, "--dry-run")) == 2
        assert APIKey.objects.get().revoked_at is None
        assert LoginSession.objects.get().revoked_at is None


@pytest.mark.django_db
class TestTheFile:
    """CSV of the admin, or JSON of the command."""

    def test_the_csv_of_the_admin_does(
        self, service_user: ServiceUser, admin_client: Any, tmp_path: Path, capsys: Output
    ) -> None:
        key = mint_key(service_user, name="=1+1").key
        backup = Backup()
        revoke_key(key, reason="leaked")
        answer = admin_client.get("/admin/pikku_auth/auditevent/export/")
        file = tmp_path / "audit.csv"
        file.write_bytes(b"".join(answer.streaming_content))
        backup.restore()
        assert reapply(file, capsys) == [f"=1+1 ({key.preview}…) of sandbox-runtime: revoked"]

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "[1]",
            "[",
            "at,action\n1,2\n",
            '{"at": "2026-12-01", "action": "", "subject": "", "details": {}, "key_id": null}',
            '{"at": "2026-12-01T12:00:00+00:00", "action": "", "subject": "", "details": 1}',
        ],
    )
    def test_that_is_no_export_changes_nothing(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "file"
        file.write_text(text)
        with pytest.raises(CommandError, match="is no export of the audit trail"):
            call_command("reapply_revocations", "--from", str(file))

    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="can't be read"):
            call_command("reapply_revocations", "--from", str(tmp_path / "nothing"))

    def test_an_empty_one_and_a_subject_of_another_form_change_nothing(
        self, mint: Mint, tmp_path: Path, capsys: Output
    ) -> None:
        mint()
        file = tmp_path / "file"
        file.write_text("[]")
        assert reapply(file, capsys) == []
        event = {
            "at": datetime.now(UTC).isoformat(), "action": "key_revoked", "subject": "somebody",
            "key_id": 1, "login_id": None, "details": {},
        }  # fmt: skip
        file.write_text(json.dumps([event]))
        assert reapply(file, capsys) == []
