"""``manage.py revoke_key ID``."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import IssuedKey, revoke_key, verify_key
from pikku_auth.models import APIKey, AuditEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

Output = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A stdin with somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def issued(mint: Callable[..., IssuedKey]) -> IssuedKey:
    return mint(name="ci", now=NOW)


def is_revoked(issued: IssuedKey) -> bool:
    return APIKey.objects.filter(pk=issued.key.pk, revoked_at__isnull=False).exists()


def test_it_asks_on_a_terminal(issued: IssuedKey, capsys: Output) -> None:
    call_command("revoke_key", str(issued.key.pk), stdin=Terminal("y\n"))
    assert is_revoked(issued)
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr == (
        f"Revoke {issued.key} of sandbox-runtime, never used? [y/N] "
        f"Revoked {issued.key} of sandbox-runtime.\n"
    )


def test_it_says_when_the_key_was_last_used(issued: IssuedKey, capsys: Output) -> None:
    verify_key(issued.secret.reveal(), now=NOW)
    call_command("revoke_key", str(issued.key.pk), stdin=Terminal("y\n"))
    assert "last used 2026-12-01 12:00 UTC? [y/N]" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["y", "Y\n", "yes\n", " YES \n"])
def test_yes_is_yes(issued: IssuedKey, answer: str) -> None:
    call_command("revoke_key", str(issued.key.pk), stdin=Terminal(answer))
    assert is_revoked(issued)


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "yep\n"])
def test_anything_else_is_no(issued: IssuedKey, answer: str) -> None:
    with pytest.raises(CommandError, match="Nothing was revoked"):
        call_command("revoke_key", str(issued.key.pk), stdin=Terminal(answer))
    assert not is_revoked(issued)


def test_without_a_terminal_it_wants_to_be_told_not_to_ask(issued: IssuedKey) -> None:
    with pytest.raises(CommandError, match="add --no-input"):
        call_command("revoke_key", str(issued.key.pk), stdin=io.StringIO("y\n"))
    assert not is_revoked(issued)


def test_a_closed_stdin_is_no_terminal(issued: IssuedKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match="add --no-input"):
        call_command("revoke_key", str(issued.key.pk))
    assert not is_revoked(issued)


@pytest.mark.parametrize("option", ["--no-input", "--noinput"])
def test_it_can_be_told_not_to_ask(issued: IssuedKey, capsys: Output, option: str) -> None:
    call_command("revoke_key", str(issued.key.pk), option, "--reason", "leaked")
    key = APIKey.objects.get()
    assert key.revoked_at is not None
    assert key.revoke_reason == "leaked"
    assert capsys.readouterr() == ("", f"Revoked {key} of sandbox-runtime.\n")


def test_revoking_twice_is_no_error_and_needs_no_answer(issued: IssuedKey, capsys: Output) -> None:
    revoke_key(issued.key, reason="leaked", now=NOW)
    call_command("revoke_key", str(issued.key.pk), "--reason", "again", stdin=Terminal(""))
    assert capsys.readouterr().err == f"{issued.key} of sandbox-runtime was revoked already.\n"
    key = APIKey.objects.get()
    assert (key.revoked_at, key.revoke_reason) == (NOW, "leaked")


@pytest.mark.parametrize("how", ["pk", "preview", "digest"])
def test_the_key_is_named_by_its_id_its_start_or_its_digest(issued: IssuedKey, how: str) -> None:
    call_command("revoke_key", str(getattr(issued.key, how)), "--no-input")
    assert is_revoked(issued)


def test_an_unknown_key_is_an_error_with_the_next_command(issued: IssuedKey) -> None:
    with pytest.raises(CommandError, match="no key 'pka_0': list_keys shows them all"):
        call_command("revoke_key", "pka_0", "--no-input")


def test_a_pasted_secret_is_not_repeated(issued: IssuedKey, capsys: Output) -> None:
    secret = issued.secret.reveal()
    with pytest.raises(CommandError, match="If it is a secret") as refusal:
        call_command("revoke_key", secret, "--no-input")
    assert secret[12:] not in f"{refusal.value}{capsys.readouterr()}"
    assert not is_revoked(issued)


def test_a_reason_that_is_too_long_is_refused(issued: IssuedKey) -> None:
    with pytest.raises(CommandError, match="at most 200 characters"):
        call_command("revoke_key", str(issued.key.pk), "--no-input", "--reason", "x" * 201)
    assert not is_revoked(issued)


def test_it_is_recorded_as_done_from_a_command(issued: IssuedKey) -> None:
    with freeze_time(NOW):
        call_command("revoke_key", str(issued.key.pk), "--no-input", "--reason", "leaked")
    event = AuditEvent.objects.get(action="key_revoked")
    assert (event.source, event.at, event.details) == ("command", NOW, {"reason": "leaked"})


class Interrupted(Terminal):
    """A stdin with somebody who presses Ctrl-C."""

    def readline(self, size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_at_the_question_revokes_nothing(issued: IssuedKey) -> None:
    with pytest.raises(CommandError, match="Nothing was revoked") as refusal:
        call_command("revoke_key", str(issued.key.pk), stdin=Interrupted())
    assert refusal.value.returncode == 130
    assert APIKey.objects.get().revoked_at is None
