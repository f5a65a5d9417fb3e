"""``manage.py revoke_logins USERNAME``."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import last_used, live_logins
from pikku_auth.flows.logins import verify_login
from pikku_auth.models import AuditEvent, LoginSession
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

Output = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A stdin with somebody who types."""

    def isatty(self) -> bool:
        return True


class Interrupted(Terminal):
    """A stdin with somebody who presses Ctrl-C."""

    def readline(self, size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


def revoke(user: Any, *arguments: str, **options: Any) -> None:
    call_command("revoke_logins", user.get_username(), *arguments, **options)


def test_it_shows_the_logins_and_asks_on_a_terminal(ada: Any, capsys: Output) -> None:
    with freeze_time(NOW):
        used, fresh = logged_in(ada), logged_in(ada, client_id="another")
        LoginSession.objects.filter(pk=used.login.pk).update(ip="192.0.2.7")
        verify_login(used.token.digest)
        last_used.flush()
        revoke(ada, stdin=Terminal("y\n"))
    assert live_logins(ada, now=NOW) == []
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr == (
        f"another ({fresh.token.preview}…), from somewhere, not used\n"
        f"pikku-cli ({used.token.preview}…), from 192.0.2.7, last used 2026-12-01 12:00 UTC\n"
        f"End 2 logins? [y/N] Ended 2 logins of {ada.get_username()}.\n"
    )


@pytest.mark.parametrize("answer", ["y", "Y\n", " yes \n"])
def test_yes_is_yes(ada: Any, answer: str) -> None:
    logged_in(ada)
    revoke(ada, stdin=Terminal(answer))
    assert live_logins(ada) == []


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yep\n"])
def test_anything_else_is_no(ada: Any, answer: str) -> None:
    logged_in(ada)
    with pytest.raises(CommandError, match="Nothing was revoked"):
        revoke(ada, stdin=Terminal(answer))
    assert len(live_logins(ada)) == 1


def test_ctrl_c_at_the_question_revokes_nothing(ada: Any) -> None:
    logged_in(ada)
    with pytest.raises(CommandError, match="Nothing was revoked") as refusal:
        revoke(ada, stdin=Interrupted())
    assert refusal.value.returncode == 130
    assert len(live_logins(ada)) == 1


def test_without_a_terminal_it_wants_to_be_told_not_to_ask(ada: Any) -> None:
    logged_in(ada)
    with pytest.raises(CommandError, match="add --no-input"):
        revoke(ada, stdin=io.StringIO("y\n"))
    assert len(live_logins(ada)) == 1


def test_a_closed_stdin_is_no_terminal(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in(ada)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match="add --no-input"):
        revoke(ada)


@pytest.mark.parametrize("option", ["--no-input", "--noinput"])
def test_it_can_be_told_not_to_ask(ada: Any, capsys: Output, option: str) -> None:
    logged_in(ada)
    revoke(ada, option, "--reason", "lost laptop")
    assert LoginSession.objects.get().revoke_reason == "lost laptop"
    assert capsys.readouterr() == ("", f"Ended 1 login of {ada.get_username()}.\n")


def test_with_no_login_to_end_it_neither_asks_nor_fails(ada: Any, capsys: Output) -> None:
    logged_in(ada, now=NOW - timedelta(days=3_650))
    revoke(ada, stdin=Terminal(""))
    assert capsys.readouterr().err == f"Ended 0 logins of {ada.get_username()}.\n"


def test_nobody_elses_logins_end(ada: Any, make_user: Callable[..., Any]) -> None:
    grace = make_user("grace")
    logged_in(grace)
    revoke(ada, "--no-input")
    assert len(live_logins(grace)) == 1


def test_an_unknown_user_is_an_error(db: None) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("revoke_logins", "nobody", "--no-input")


def test_a_reason_that_is_too_long_is_refused(ada: Any) -> None:
    logged_in(ada)
    with pytest.raises(CommandError, match="at most 200 characters"):
        revoke(ada, "--no-input", "--reason", "x" * 201)
    assert len(live_logins(ada)) == 1


def test_it_is_recorded_as_done_from_a_command(ada: Any) -> None:
    logged_in(ada)
    revoke(ada, "--no-input", "--reason", "lost laptop")
    event = AuditEvent.objects.get(action="login_revoked")
    assert (event.source, event.details) == ("command", {"reason": "lost laptop"})
