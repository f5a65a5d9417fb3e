"""``KEY=$(manage.py rotate_key ID)``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import IssuedKey, revoke_key, verify_key
from pikku_auth.models import APIKey, AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

Output = pytest.CaptureFixture[str]


@pytest.fixture
def key(mint: Callable[..., IssuedKey]) -> APIKey:
    return mint(name="ci", scopes=["sandbox:read"], now=NOW).key


@pytest.mark.parametrize("how", ["pk", "preview", "digest"])
def test_the_new_key_is_alone_on_stdout(key: APIKey, capsys: Output, how: str) -> None:
    call_command("rotate_key", str(getattr(key, how)), "--verbosity", "3")
    stdout = capsys.readouterr().out
    new = verify_key(stdout.removesuffix("\n")).key
    assert new is not None
    assert (new.rotated_from, new.name, new.scopes) == (key, "ci", ["sandbox:read"])


def test_everything_for_the_eye_is_on_stderr(key: APIKey, capsys: Output) -> None:
    call_command("rotate_key", str(key.pk))
    new = APIKey.objects.latest("pk")
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"Key {new.pk}, {new} of sandbox-runtime: sandbox:read; expires ")
    assert stderr.endswith(f"The old key {key} ends within 1d.\n")


def test_the_old_key_lives_on_for_a_day(key: APIKey) -> None:
    with freeze_time(NOW):
        call_command("rotate_key", str(key.pk))
    key.refresh_from_db()
    assert key.expires_at == NOW + DAY


def test_the_overlap_can_be_chosen(key: APIKey, capsys: Output) -> None:
    with freeze_time(NOW):
        call_command("rotate_key", str(key.pk), "--overlap", "1h30m")
    key.refresh_from_db()
    assert key.expires_at == NOW + timedelta(minutes=90)
    assert "ends within 1h30m." in capsys.readouterr().err


def test_now_revokes_the_old_key(key: APIKey, capsys: Output) -> None:
    with freeze_time(NOW):
        call_command("rotate_key", str(key.pk), "--now")
    key.refresh_from_db()
    assert (key.revoked_at, key.revoke_reason) == (NOW, "rotated")
    assert f"The old key {key} is revoked." in capsys.readouterr().err


def test_the_new_key_can_be_had_as_json(key: APIKey, capsys: Output) -> None:
    call_command("rotate_key", str(key.pk), "--format", "json")
    answer = json.loads(capsys.readouterr().out)
    assert verify_key(answer["key"]).key == APIKey.objects.get(pk=answer["id"])
    assert answer["rotated_from"] == key.pk


def test_it_is_recorded_as_done_from_a_command(key: APIKey) -> None:
    call_command("rotate_key", str(key.pk))
    assert AuditEvent.objects.get(action="key_rotated").source == "command"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--overlap", "1h", "--now"], "not allowed with"),
        (["--overlap", "90"], "'90' is not a duration"),
        (["--overlap", "0s"], "longer than zero"),
    ],
)
def test_a_bad_overlap_says_what_to_type_and_nothing_changes(
    key: APIKey, capsys: Output, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("rotate_key", str(key.pk), *arguments)
    assert capsys.readouterr().out == ""
    assert APIKey.objects.get().rotated_at is None


def test_an_unknown_key_is_an_error_with_the_next_command(key: APIKey) -> None:
    with pytest.raises(CommandError, match="no key '0': list_keys shows them all"):
        call_command("rotate_key", "0")


def test_a_pasted_secret_is_not_repeated(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    secret = mint().secret.reveal()
    with pytest.raises(CommandError, match="If it is a secret") as refusal:
        call_command("rotate_key", secret)
    assert secret[12:] not in f"{refusal.value}{capsys.readouterr()}"


def test_a_dead_key_is_not_rotated(key: APIKey, capsys: Output) -> None:
    revoke_key(key)
    with pytest.raises(CommandError, match="is revoked, and only a live key can be rotated"):
        call_command("rotate_key", str(key.pk))
    assert capsys.readouterr().out == ""
    assert APIKey.objects.get() == key


@pytest.mark.parametrize("ending", ["--now", "--overlap=1h"])
def test_a_rotation_that_is_not_delivered_has_not_touched_the_old_key(
    key: APIKey, tmp_path: Path, ending: str
) -> None:
    before = APIKey.objects.values().get()
    with pytest.raises(CommandError, match="nothing has changed") as refusal:
        call_command("rotate_key", str(key.pk), ending, "--output", str(tmp_path))
    assert refusal.value.returncode == 3
    assert APIKey.objects.values().get() == before
    assert not AuditEvent.objects.filter(action="key_rotated").exists()
