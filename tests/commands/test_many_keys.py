"""``revoke_key``, ``disable_key`` and ``enable_key`` of several keys: the night of a leak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import AuditContext, create_service_user, mint_key, revoke_key
from pikku_auth.management.commands.revoke_key import Command
from pikku_auth.models import APIKey, ServiceUser
from tests.commands.test_revoke_key import Terminal
from tests.docs.pages import ROOT

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with freeze_time(NOW):
        yield


@pytest.fixture
def keys(service_user: ServiceUser, make_user: Callable[..., Any]) -> dict[str, APIKey]:
    ada = make_user("ada")
    builder = create_service_user("builder")
    return {
        "old": mint_key(service_user, name="old", now=NOW - 9 * DAY).key,
        "new": mint_key(service_user, name="new", now=NOW - DAY).key,
        "ada's": mint_key(service_user, name="ada's", context=AuditContext(actor=ada)).key,
        "builder's": mint_key(builder, name="builder's").key,
    }


def revoked(keys: dict[str, APIKey]) -> set[str]:
    rows = APIKey.objects.exclude(revoked_at=None)
    return {name for name, key in keys.items() if rows.filter(pk=key.pk).exists()}


CHOICES: list[tuple[list[str], set[str]]] = [
    (["--service", "sandbox-runtime"], {"old", "new", "ada's"}),
    (["--service", "sandbox-runtime", "--minted-since", "2d"], {"new", "ada's"}),
    (["--minted-since", "1h"], {"ada's", "builder's"}),
    (["--minted-by", "ADA"], {"ada's"}),
    (["--all"], {"old", "new", "ada's", "builder's"}),
]


@pytest.mark.parametrize(("arguments", "meant"), CHOICES)
def test_keys_that_the_options_describe_together_are_revoked(
    keys: dict[str, APIKey], capsys: Output, arguments: list[str], meant: set[str]
) -> None:
    ada: Any = keys["ada's"].created_by
    arguments = [ada.get_username() if word == "ADA" else word for word in arguments]
    call_command("revoke_key", *arguments, "--dry-run")
    out, err = capsys.readouterr()
    assert {name for name in keys if f"{name} (" in out} == meant
    assert len(out.splitlines()) == len(meant)
    assert err == f"{len(meant)} key{'s' * (len(meant) > 1)} would be revoked.\n"
    assert revoked(keys) == set()
    call_command("revoke_key", *arguments, "--no-input", "--reason", "leaked")
    assert revoked(keys) == meant
    call_command("revoke_key", *arguments, "--no-input")
    assert "No such keys are left to revoke." in capsys.readouterr().err


def test_several_keys_are_asked_about_once_and_named(
    keys: dict[str, APIKey], capsys: Output
) -> None:
    ids = [str(key.pk) for key in keys.values()]
    revoke_key(keys["old"])
    call_command("revoke_key", *ids, *ids, stdin=Terminal("y\n"))
    told = capsys.readouterr().err
    assert "Revoke 3 keys? [y/N]" in told
    assert told.count("Revoked ") == 3
    assert "was revoked already" in told
    assert revoked(keys) == {*keys}


def test_question_about_very_many_shows_the_first_twenty(
    service_user: ServiceUser, capsys: Output
) -> None:
    for _ in range(25):
        mint_key(service_user)
    call_command("revoke_key", "--all", stdin=Terminal("y\n"))
    assert "and 5 more\nRevoke 25 keys? [y/N]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["1", "--all"], ["1", "--service", "builder"], ["--all", "--minted-since", "1d"]],
)
def test_what_does_not_say_which_keys_is_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="Which keys") as refused:
        call_command("revoke_key", *arguments, "--no-input")
    assert refused.value.returncode == 2


@pytest.mark.parametrize("command", ["revoke_key", "disable_key", "enable_key"])
def test_one_wrong_id_changes_no_key(keys: dict[str, APIKey], command: str) -> None:
    more = ["--no-input"] if command == "revoke_key" else []
    before = list(APIKey.objects.order_by("pk").values())
    with pytest.raises(CommandError, match="no key"):
        call_command(command, str(keys["old"].pk), "999999", *more)
    assert list(APIKey.objects.order_by("pk").values()) == before


def test_keys_are_stopped_and_let_work_again(keys: dict[str, APIKey], capsys: Output) -> None:
    ids = [str(keys["old"].pk), str(keys["new"].pk)]
    call_command("disable_key", *ids)
    assert APIKey.objects.filter(enabled=False).count() == 2
    assert capsys.readouterr().err.count("Disabled ") == 2
    call_command("disable_key", ids[0])
    assert "is disabled or revoked already" in capsys.readouterr().err
    call_command("enable_key", *ids)
    assert not APIKey.objects.filter(enabled=False).exists()
    assert capsys.readouterr().err.count("Enabled ") == 2
    call_command("enable_key", ids[0])
    assert "is not disabled, or is revoked" in capsys.readouterr().err


def test_wrong_usage_is_told_before_the_usage(capsys: Output) -> None:
    command = Command()
    command._called_from_command_line = True
    parser = command.create_parser("manage.py", "revoke_key")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--minted-since", "soon"])
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("manage.py revoke_key: argument --minted-since: 'soon'")
    assert "usage: manage.py revoke_key" in "".join(rest)
    assert ended.value.code == 2


def test_wrong_value_is_told_in_the_first_line_and_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "list_keys", "--expiring", "soon"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    first, *_ = done.stderr.splitlines()
    assert first == (
        "manage.py list_keys: argument --expiring: 'soon' is not a duration: write a number and a "
        "unit, for example 90d, 12h, 30m, 45s, 2w or 1h30m."
    )
    assert done.returncode == 2
