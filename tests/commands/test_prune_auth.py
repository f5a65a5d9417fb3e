"""``manage.py prune_auth``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import IssuedKey, create_service_user, issue_ticket, revoke_key, verify_key
from pikku_auth.models import APIKey, AuditEvent, SocketTicket
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with freeze_time(NOW):
        yield


def names() -> list[str]:
    return list(APIKey.objects.order_by("pk").values_list("name", flat=True))


def told(keys: int = 0, logins: int = 0, codes: int = 0, tickets: int = 0, events: int = 0) -> str:
    return (
        f"Deleted {keys} keys, {logins} logins, {codes} device codes, {tickets} tickets and "
        f"{events} audit events.\n"
    )


def test_keys_that_ended_180_days_ago_are_deleted(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    mint(name="long over", lifetime=DAY, now=NOW - 182 * DAY)
    mint(name="over", lifetime=DAY, now=NOW - 180 * DAY)
    call_command("prune_auth")
    assert names() == ["over"]
    assert capsys.readouterr() == ("", told(keys=1))


def test_audit_events_of_400_days_ago_are_deleted(capsys: Output) -> None:
    create_service_user("builder", now=NOW - 401 * DAY)
    create_service_user("painter", now=NOW - 399 * DAY)
    call_command("prune_auth")
    subjects = AuditEvent.objects.order_by("pk").values_list("subject", flat=True)
    assert list(subjects) == ["painter", ""]
    assert capsys.readouterr().err == told(events=1)


def test_how_long_the_record_is_kept_can_be_chosen(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    mint(name="over", lifetime=DAY, now=NOW - 9 * DAY)
    call_command("prune_auth", "--keys-older-than", "1w", "--events-older-than", "8d")
    assert names() == []
    assert capsys.readouterr().err == told(keys=1, events=1)


def test_logins_that_ended_180_days_ago_and_codes_of_yesterday_are_deleted(
    make_user: Callable[..., Any], capsys: Output
) -> None:
    logged_in(make_user(), now=NOW - 188 * DAY)
    call_command("prune_auth")
    assert capsys.readouterr().err == told(logins=1, codes=1)


def test_tickets_of_yesterday_are_deleted(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    principal = verify_key(mint(now=NOW - 2 * DAY).secret.reveal())
    issue_ticket(principal, now=NOW - 2 * DAY)
    call_command("prune_auth")
    assert not SocketTicket.objects.exists()
    assert capsys.readouterr().err == told(tickets=1)


def test_with_nothing_to_delete_nothing_happens(db: None, capsys: Output) -> None:
    call_command("prune_auth")
    assert capsys.readouterr().err == told()
    assert not AuditEvent.objects.exists()


def test_it_is_recorded_as_done_from_a_command(mint: Callable[..., IssuedKey]) -> None:
    mint(lifetime=DAY, now=NOW - 200 * DAY)
    call_command("prune_auth")
    event = AuditEvent.objects.get(action="pruned")
    assert (event.source, event.at) == ("command", NOW)


@pytest.mark.parametrize("option", ["--keys-older-than", "--events-older-than"])
@pytest.mark.parametrize("text", ["180", "0d", "-1d", "6 months"])
def test_a_bad_duration_says_what_to_type_and_nothing_is_deleted(
    mint: Callable[..., IssuedKey], option: str, text: str
) -> None:
    mint(name="over", lifetime=DAY, now=NOW - 1000 * DAY)
    with pytest.raises(CommandError, match=r"not a duration|longer than zero"):
        call_command("prune_auth", f"{option}={text}")
    assert names() == ["over"]


def test_a_run_may_be_bounded_and_says_what_is_left(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    for _ in range(3):
        revoke_key(mint(now=NOW).key, now=NOW)
    with freeze_time(NOW + 365 * DAY):
        call_command("prune_auth", "--limit", "2", "--for", "5m")
        assert capsys.readouterr().err.endswith("events.\nMore is left: run it again.\n")
        call_command("prune_auth")
    assert "More is left" not in capsys.readouterr().err
    assert not APIKey.objects.exists()


def test_a_terminal_is_shown_the_progress(mint: Callable[..., IssuedKey]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    revoke_key(mint(now=NOW).key, now=NOW)
    terminal = Terminal()
    with freeze_time(NOW + 365 * DAY):
        call_command("prune_auth", stderr=terminal)
    assert "\rDeleted 1 keys\x1b[K\r" in terminal.getvalue()
