"""``list_service_users``, ``list_logins``, ``list_events``, and what all lists share."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    mint_key,
    revoke_key,
    revoke_login,
    set_service_user_scopes,
)
from pikku_auth.models import AuditEvent
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LISTS = ["list_keys", "list_service_users", "list_logins", "list_events"]

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with freeze_time(NOW):
        yield


def listed(capsys: Output, *arguments: str) -> list[dict[str, Any]]:
    call_command(*arguments, "--format", "json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


@pytest.mark.parametrize("command", LISTS)
def test_empty_list_says_how_the_first_row_comes_to_be(capsys: Output, command: str) -> None:
    call_command(command)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("There is nothing yet: ")
    assert listed(capsys, command) == []


@pytest.mark.parametrize("command", LISTS)
def test_limit_lists_the_first_rows(
    capsys: Output, mint: Mint, make_user: Callable[..., Any], command: str
) -> None:
    for name in ("builder", "deployer"):
        mint_key(create_service_user(name))
        logged_in(make_user(name[:3]))
    every = listed(capsys, command)
    assert len(every) > 1
    assert listed(capsys, command, "--limit", "1") == every[:1]


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5", ""])
def test_limit_that_is_no_count_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="write a whole number above 0"):
        call_command("list_keys", "--limit", wrong)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_table_fits_the_terminal_and_is_whole_elsewhere(
    capsys: Output, mint: Mint, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    mint(name="n" * 120, scopes=["sandbox:read", "sandbox:write"])
    terminal = Terminal()
    call_command("list_keys", stdout=terminal)
    head, row = terminal.getvalue().splitlines()
    assert max(len(head), len(row)) <= max(columns, 8 * 8 + 2 * 7)
    assert ("…" in row) is (columns < 300)
    call_command("list_keys")
    assert "n" * 120 in capsys.readouterr().out


def test_service_users_are_listed_with_their_ceilings_and_live_keys(
    capsys: Output, make_user: Callable[..., Any]
) -> None:
    builder, idle = (
        create_service_user("builder", description="Builds"),
        create_service_user("idle"),
    )
    promoted = create_service_user("promoted", scopes=[])
    set_service_user_scopes(builder, ["sandbox:read"])
    mint_key(builder)
    revoke_key(mint_key(builder).key)
    deactivate_service_user(idle)
    if hasattr(promoted.user, "is_staff"):
        type(promoted.user)._default_manager.filter(pk=promoted.user.pk).update(is_staff=True)
    rows = {row["name"]: row for row in listed(capsys, "list_service_users")}
    assert [*rows] == ["builder", "idle", "promoted"]
    assert rows["builder"]["ceiling"] == ["sandbox:read"]
    assert (rows["builder"]["live_keys"], rows["builder"]["state"]) == (1, "active")
    assert rows["idle"]["state"] == "inactive"
    assert rows["promoted"]["state"] in ("privileged", "active")
    call_command("list_service_users")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "LIVE", "KEYS", "CEILING", "DESCRIPTION"]
    assert lines[1].split() == ["builder", "active", "1", "sandbox:read", "Builds"]
    assert "none is set" in lines[2]
    assert "nothing" in lines[3]


def test_live_logins_are_listed_the_newest_first(
    capsys: Output, make_user: Callable[..., Any]
) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    first, second = logged_in(ada, now=NOW - DAY), logged_in(bob, scope="sandbox:read")
    over = logged_in(ada)
    revoke_login(over.login, reason="lost laptop")
    assert [row["id"] for row in listed(capsys, "list_logins")] == [second.login.pk, first.login.pk]
    assert [row["id"] for row in listed(capsys, "list_logins", "--user", ada.get_username())] == [
        first.login.pk
    ]
    [ended, *_] = listed(capsys, "list_logins", "--all")
    assert (ended["state"], ended["revoke_reason"]) == ("revoked", "lost laptop")
    call_command("list_logins", "--all")
    _, *lines = capsys.readouterr().out.splitlines()
    assert ["revoked" in line for line in lines] == [True, False, False]
    assert [line.split()[-1] for line in lines] == ["all", "sandbox:read", "all"]
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("list_logins", "--user", "nobody")


def test_events_are_listed_the_newest_first_and_by_what_they_are_about(
    capsys: Output, mint: Mint
) -> None:
    other = mint_key(create_service_user("builder"), now=NOW - 9 * DAY)
    issued = mint(name="ci", scopes=["sandbox:read"])
    by = AuditContext(source="admin", actor_name="ada", ip="192.0.2.1")
    revoke_key(issued.key, reason="leaked", context=by, now=NOW + DAY)
    [newest, *_] = listed(capsys, "list_events")
    assert (newest["action"], newest["actor"], newest["ip"]) == ("key_revoked", "ada", "192.0.2.1")
    assert newest["key_id"] == issued.key.pk
    for arguments, actions in (
        (["--about", str(issued.key.pk)], ["key_revoked", "key_minted"]),
        (["--service", "builder", "--action", "key_minted"], ["key_minted"]),
        (["--since", "2d", "--service", "builder"], ["service_user_created"]),
        (["--action", "key_minted"], ["key_minted", "key_minted"]),
    ):
        assert [row["action"] for row in listed(capsys, "list_events", *arguments)] == actions
    call_command("list_events", "--about", str(issued.key.pk))
    _, line, _ = capsys.readouterr().out.splitlines()
    assert line.split()[:5] == ["2026-12-02", "12:00:00", "ada", "admin", "192.0.2.1"]
    assert line.endswith("Key revoked: leaked")
    assert other.key.pk


def test_fifty_events_are_listed_unless_more_are_asked_for(
    capsys: Output, service_user: Any
) -> None:
    for _ in range(60):
        mint_key(service_user)
    assert len(listed(capsys, "list_events")) == 50
    assert len(listed(capsys, "list_events", "--limit", "100")) == AuditEvent.objects.count()
