"""``KEY=$(manage.py mint_key --service NAME --scope resource:action)``."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import pre_save
from freezegun import freeze_time

from pikku_auth.core.limits import Rate
from pikku_auth.flows import IssuedKey, deactivate_service_user, disable_key, verify_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
A_KEY = re.compile(r"pka_[0-9A-Za-z]{49}\n")

Output = pytest.CaptureFixture[str]


def mint_key(*arguments: str, **options: Any) -> None:
    call_command("mint_key", "--service", "sandbox-runtime", *arguments, **options)


@pytest.fixture
def closed_pipe() -> Iterator[IO[str]]:
    """A stream whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, Path(os.devnull).open("w") as nowhere:
        yield stream
        os.dup2(nowhere.fileno(), stream.fileno())


@pytest.mark.parametrize("verbosity", ["0", "1", "2", "3"])
@pytest.mark.parametrize("colour", ["--no-color", "--force-color"])
def test_the_key_is_alone_on_stdout(
    service_user: ServiceUser, capsys: Output, verbosity: str, colour: str
) -> None:
    mint_key("--verbosity", verbosity, colour)
    stdout = capsys.readouterr().out
    assert A_KEY.fullmatch(stdout)
    assert verify_key(stdout.strip()).service_user == service_user


def test_everything_for_the_eye_is_on_stderr(service_user: ServiceUser, capsys: Output) -> None:
    with freeze_time(NOW):
        mint_key("--name", "ci", "--scope", "sandbox:read", "--expires-in", "30d")
    key = APIKey.objects.get()
    assert capsys.readouterr().err == (
        f"Key {key.pk}, ci ({key.preview}…) of sandbox-runtime: sandbox:read; "
        "expires 2026-12-31 12:00 UTC.\n"
        "Copy it now: it is stored only as a digest and cannot be shown again.\n"
    )


def test_it_warns_of_a_key_without_scopes_or_end(service_user: ServiceUser, capsys: Output) -> None:
    mint_key("--expires-in", "never")
    assert "no scopes: it may authenticate, and nothing else; never expires." in (
        capsys.readouterr().err
    )


def test_verbosity_0_leaves_only_the_key(service_user: ServiceUser, capsys: Output) -> None:
    mint_key("--verbosity", "0")
    assert capsys.readouterr().err == ""


def test_unapplied_migrations_are_not_taken_for_the_key(
    service_user: ServiceUser, capsys: Output
) -> None:
    MigrationRecorder(connection).record_unapplied("sandboxes", "0002_organisations")
    mint_key(skip_checks=False)
    stdout, stderr = capsys.readouterr()
    assert A_KEY.fullmatch(stdout)
    assert "1 unapplied migration(s)" in stderr


def test_each_option_reaches_the_key(service_user: ServiceUser, capsys: Output) -> None:
    options = {
        "--name": "ci",
        "--expires-in": "1h30m",
        "--metadata": '{"sandbox_id": "sbx_42"}',
        "--rate": "100/m",
        "--quota": "5",
        "--refill": "50/1d",
    }
    repeated = ["--scope", "sandbox:read", "--scope", "sandbox:write"]
    repeated += ["--network", "192.0.2.0/24", "--network", "2001:db8::/32"]
    with freeze_time(NOW):
        mint_key(*repeated, *(word for option in options.items() for word in option))
    key = APIKey.objects.get()
    assert (key.name, key.expires_at) == ("ci", NOW + 1.5 * HOUR)
    assert key.permissions == {"sandbox": ["read", "write"]}
    assert key.metadata == {"sandbox_id": "sbx_42"}
    assert key.networks == ["192.0.2.0/24", "2001:db8::/32"]
    assert (key.rate, key.remaining, key.refill) == (
        Rate(100, timedelta(minutes=1)),
        5,
        Rate(50, DAY),
    )


def test_env_is_a_line_for_an_env_file(service_user: ServiceUser, capsys: Output) -> None:
    mint_key("--format", "env")
    name, _, key = capsys.readouterr().out.partition("=")
    assert name == "PIKKU_API_KEY"
    assert A_KEY.fullmatch(key)


def test_json_is_the_key_and_what_it_is(service_user: ServiceUser, capsys: Output) -> None:
    with freeze_time(NOW):
        mint_key("--format", "json", "--name", "ü", "--scope", "sandbox:read", "--rate", "100/m")
    stdout = capsys.readouterr().out
    answer, key = json.loads(stdout), APIKey.objects.get()
    assert A_KEY.fullmatch(answer.pop("key") + "\n")
    assert "ü" in stdout
    assert answer == {
        "id": key.pk,
        "start": key.preview,
        "name": "ü",
        "service_user": "sandbox-runtime",
        "state": "active",
        "scopes": ["sandbox:read"],
        "permissions": {"sandbox": ["read"]},
        "allowed_scopes": ["sandbox:read"],
        "metadata": {},
        "delegation": None,
        "networks": [],
        "rate": "100/m",
        "remaining": None,
        "refill": None,
        "enabled": True,
        "parent": None,
        "suspended": False,
        "created_at": "2026-12-01T12:00:00+00:00",
        "created_by": None,
        "expires_at": "2027-03-01T12:00:00+00:00",
        "last_used_at": None,
        "last_used_ip": None,
        "revoked_at": None,
        "revoke_reason": "",
        "rotated_from": None,
        "rotated_at": None,
    }


def test_it_is_recorded_as_done_from_a_command(service_user: ServiceUser) -> None:
    mint_key()
    assert AuditEvent.objects.get(action="key_minted").source == "command"


def test_running_it_again_mints_another_key(service_user: ServiceUser) -> None:
    mint_key("--name", "ci")
    mint_key("--name", "ci")
    assert APIKey.objects.filter(rotated_from=None, expires_at__isnull=False).count() == 2


BAD_INPUT = [
    (["--expires-in", "90"], "'90' is not a duration: write a number and a unit"),
    (["--expires-in", "0d"], "longer than zero"),
    (["--expires-in", "Never"], "for example 90d"),
    (["--scope", "sandbox"], "write resource:action, for example sandbox:read"),
    (["--scope", "sandbox:reed"], "did you mean sandbox:read"),
    (["--metadata", "{"], "Metadata is not JSON .* write an object"),
    (["--metadata", "[]"], "must be a JSON object, for example"),
    (["--metadata", '{"a": NaN}'], "can't hold NaN"),
    (["--metadata", '{"a": 1, "a": 2}'], "names a member twice"),
    (["--rate", "100"], "'100' is not a rate: write for example 100/m"),
    (["--rate", "0/m"], "must be from 1 to"),
    (["--quota", "0"], "must be from 1 to"),
    (["--quota", "many"], "'many' is not a number of calls: write for example 1000"),
    (["--quota", "-5"], "'-5' is not a number of calls"),
    (["--refill", "5/d"], "needs a quota to fill: give both"),
    (["--network", "192.0.2.0/33"], "write CIDR, for example 192.0.2.0/24"),
    (["--network", "192.0.2.1/24"], "did you mean 192.0.2.0/24"),
    (["--name", "x" * 201], "at most 200 characters"),
    (["--overlap", "1h"], "add --rotate"),
    (["--rotate", "--overlap", "1"], "for example 90d"),
    (["--format", "xml"], "invalid choice: 'xml'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT)
def test_bad_input_says_what_to_type_and_nothing_is_made(
    capsys: Output, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        mint_key("--create", *arguments)
    assert capsys.readouterr().out == ""
    assert not APIKey.objects.exists()
    assert not ServiceUser.objects.exists()
    assert not AuditEvent.objects.exists()


def test_an_unknown_service_user_comes_with_the_nearest_and_the_next_command(
    service_user: ServiceUser, capsys: Output
) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("mint_key", "--service", "sandbox-runtme")
    assert str(refusal.value) == (
        "There is no service user 'sandbox-runtme'. Did you mean sandbox-runtime? "
        "To make it: manage.py create_service_user sandbox-runtme, or add --create."
    )
    assert refusal.value.returncode == 1
    assert capsys.readouterr().out == ""
    assert ServiceUser.objects.get() == service_user
    assert not APIKey.objects.exists()


def test_an_inactive_service_user_gets_no_key(service_user: ServiceUser) -> None:
    deactivate_service_user(service_user)
    with pytest.raises(CommandError, match="activate it first"):
        mint_key("--create")


def test_create_makes_the_service_user_once(capsys: Output) -> None:
    mint_key("--create")
    mint_key("--create")
    owners = [verify_key(key).service_user for key in capsys.readouterr().out.split()]
    assert owners == [ServiceUser.objects.get()] * 2


def test_create_refuses_a_malformed_name() -> None:
    with pytest.raises(CommandError, match="can't name a service user"):
        call_command("mint_key", "--service", "Sandbox", "--create")
    assert not ServiceUser.objects.exists()


def test_rotate_mints_the_first_key_and_replaces_it_from_then_on(
    service_user: ServiceUser,
) -> None:
    with freeze_time(NOW):
        for _ in range(3):
            mint_key("--name", "ci", "--scope", "sandbox:read", "--rotate")
    first, second, third = APIKey.objects.order_by("pk")
    assert (third.rotated_from, second.rotated_from, first.rotated_from) == (second, first, None)
    assert [key.expires_at for key in (first, second, third)] == [
        NOW + DAY,
        NOW + DAY,
        NOW + 90 * DAY,
    ]


def test_a_rotation_is_told_and_a_first_key_is_no_rotation(
    service_user: ServiceUser, capsys: Output
) -> None:
    mint_key("--name", "ci", "--rotate", "--overlap", "1h30m")
    assert "The old key" not in capsys.readouterr().err
    old = APIKey.objects.get()
    mint_key("--name", "ci", "--rotate", "--overlap", "1h30m")
    assert capsys.readouterr().err.endswith(f"The old key {old} ends within 1h30m.\n")


def test_several_keys_without_a_name_are_called_that(mint: Callable[..., IssuedKey]) -> None:
    mint(), mint()
    with pytest.raises(CommandError, match="2 live keys without a name: rotate one by its id"):
        mint_key("--rotate")


def test_the_overlap_of_a_rotation_can_be_chosen(service_user: ServiceUser) -> None:
    with freeze_time(NOW):
        for _ in range(2):
            mint_key("--name", "ci", "--rotate", "--overlap", "1h")
    assert APIKey.objects.earliest("pk").expires_at == NOW + HOUR


def test_a_rotation_of_another_shape_is_refused(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    key = mint(name="ci", scopes=["sandbox:read"]).key
    with pytest.raises(CommandError, match=r"^--scope: .* has other scopes, .* option out"):
        mint_key("--name", "ci", "--rotate", "--scope", "sandbox:write")
    assert capsys.readouterr().out == ""
    assert APIKey.objects.get() == key


def test_a_dead_key_is_not_rotated_but_replaced(mint: Callable[..., IssuedKey]) -> None:
    disable_key(mint(name="ci").key)
    mint_key("--name", "ci", "--rotate")
    assert APIKey.objects.latest("pk").rotated_from is None


def test_output_is_a_new_file_that_only_its_owner_can_read(
    service_user: ServiceUser, capsys: Output, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    mint_key("--output", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert A_KEY.fullmatch(file.read_text())
    assert verify_key(file.read_text().strip()).service_user == service_user
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert f"It is in {file}: it is stored only as a digest" in stderr


def test_output_has_the_chosen_format(service_user: ServiceUser, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    mint_key("--output", str(file), "--format", "env")
    assert file.read_text().startswith("PIKKU_API_KEY=pka_")


def test_an_existing_file_is_kept_and_no_key_is_made(
    service_user: ServiceUser, capsys: Output, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("precious")
    with pytest.raises(CommandError, match=r"File exists.*was not made") as refusal:
        mint_key("--output", str(file))
    assert refusal.value.returncode == 3
    assert file.read_text() == "precious"
    assert capsys.readouterr() == ("", "")
    assert not APIKey.objects.exists()


def test_a_link_is_not_followed(service_user: ServiceUser, tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(CommandError, match="could not be handed over"):
        mint_key("--output", str(link))
    assert link.is_symlink()
    assert not target.exists()
    assert not APIKey.objects.exists()


def test_a_folder_that_is_missing_is_not_made(service_user: ServiceUser, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file or directory") as refusal:
        mint_key("--output", str(tmp_path / "missing" / "key"))
    assert refusal.value.returncode == 3
    assert list(tmp_path.iterdir()) == []
    assert not APIKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_key_that_could_not_be_committed_leaves_no_file(
    service_user: ServiceUser, tmp_path: Path
) -> None:
    def break_the_commit(instance: APIKey, **kwargs: object) -> None:
        instance.rotated_from_id = 999_999_999

    pre_save.connect(break_the_commit, sender=APIKey)
    try:
        with pytest.raises(CommandError, match="The database refused the change"):
            mint_key("--output", str(tmp_path / "key"))
    finally:
        pre_save.disconnect(break_the_commit, sender=APIKey)
    assert list(tmp_path.iterdir()) == []
    assert not APIKey.objects.exists()


def test_a_key_that_nobody_can_read_is_not_made(closed_pipe: IO[str], capsys: Output) -> None:
    with pytest.raises(CommandError, match=r"Broken pipe.*nothing has changed") as refusal:
        mint_key("--create", stdout=closed_pipe)
    assert refusal.value.returncode == 3
    assert capsys.readouterr() == ("", "")
    assert not APIKey.objects.exists()
    assert not ServiceUser.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_closed_stderr_undoes_nothing(
    service_user: ServiceUser, closed_pipe: IO[str], capsys: Output
) -> None:
    mint_key(stderr=closed_pipe)
    assert verify_key(capsys.readouterr().out.strip()).service_user == service_user
