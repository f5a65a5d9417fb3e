"""``manage.py list_keys``."""

from __future__ import annotations

import errno
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    mint_key,
    revoke_key,
    verify_key,
)
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.families import child_of, parent_of

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with freeze_time(NOW):
        yield


@pytest.fixture
def in_each_state(service_user: ServiceUser) -> dict[str, APIKey]:
    """A key in each state, named for it."""
    idle, promoted = create_service_user("idle"), create_service_user("promoted")
    minted = NOW - 2 * DAY
    used_up = mint_key(service_user, name="exhausted", quota=1, lifetime=None)
    stopped = parent_of(service_user, name="disabled", lifetime=None)
    verify_key(used_up.secret.reveal())
    keys = {
        "active": mint_key(service_user, name="active", lifetime=None).key,
        "exhausted": used_up.key,
        "owner_inactive": mint_key(idle, name="owner_inactive", lifetime=None).key,
        "owner_privileged": mint_key(promoted, name="owner_privileged", lifetime=None).key,
        "suspended": child_of(stopped, name="suspended", lifetime=None).key,
        "disabled": stopped.key,
        "expired": mint_key(service_user, name="expired", lifetime=DAY, now=minted).key,
        "revoked": mint_key(service_user, name="revoked", lifetime=None).key,
    }
    deactivate_service_user(idle)
    users = get_user_model()._default_manager.filter(pk=promoted.user_id)
    users.update(is_staff=True)
    disable_key(keys["disabled"])
    revoke_key(keys["revoked"])
    return keys


def listed(capsys: Output, *arguments: str) -> list[str]:
    call_command("list_keys", "--format", "json", *arguments)
    return [key["name"] for key in json.loads(capsys.readouterr().out)]


def test_it_is_a_table(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    used = mint(name="ci", scopes=["sandbox:*", "perm:*"], lifetime=3 * DAY)
    verify_key(used.secret.reveal(), now=NOW - 2 * HOUR)
    old = mint(name="a longer name", lifetime=None).key
    call_command("list_keys")
    stdout, stderr = capsys.readouterr()
    rows = stdout.splitlines()
    assert [re.split(" {2,}", row) for row in rows] == [
        ["ID", "PREVIEW", "NAME", "SERVICE USER", "STATE", "LAST USED", "EXPIRES", "SCOPES"],
        [
            *[str(used.key.pk), used.key.preview, "ci", "sandbox-runtime", "active"],
            *["2 hours ago", "in 3 days", "perm:* sandbox:*"],
        ],
        [str(old.pk), old.preview, "a longer name", "sandbox-runtime", "active", "never", "never"],
    ]
    assert rows[0].index("SERVICE") == rows[1].index("sandbox") == rows[2].index("sandbox")
    assert stderr == ""


def test_it_says_how_long_ago_a_key_expired(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    mint(lifetime=DAY, now=NOW - 4 * DAY)
    call_command("list_keys")
    assert "expired  never      3 days ago" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "words"), [(59, "just now"), (60, "1 minute ago")])
def test_less_than_a_minute_ago_is_just_now(
    mint: Callable[..., IssuedKey], capsys: Output, seconds: int, words: str
) -> None:
    verify_key(mint().secret.reveal(), now=NOW - timedelta(seconds=seconds))
    call_command("list_keys")
    assert f"  active  {words}  " in re.sub(" {2,}", "  ", capsys.readouterr().out)


def test_it_shows_the_state_of_each_key(in_each_state: dict[str, APIKey], capsys: Output) -> None:
    call_command("list_keys")
    table = capsys.readouterr().out
    rows = {row.split()[2]: row for row in table.splitlines()}
    for state, key in in_each_state.items():
        assert f"  {KeyState(state).label}  " in rows[key.name]


def test_it_shows_neither_a_secret_nor_a_digest(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    issued = mint()
    call_command("list_keys")
    call_command("list_keys", "--format", "json")
    stdout = capsys.readouterr().out
    assert issued.key.preview in stdout
    assert issued.secret.reveal() not in stdout
    assert issued.key.digest not in stdout


def test_colour_is_for_whoever_asks_for_it(
    in_each_state: dict[str, APIKey], capsys: Output
) -> None:
    call_command("list_keys")
    plain = capsys.readouterr().out
    call_command("list_keys", "--force-color")
    coloured = capsys.readouterr().out.splitlines()
    assert "\x1b" not in plain
    assert "\x1b" not in coloured[0]
    assert all("\x1b[" in row for row in coloured[1:])
    assert len({row.split("\x1b[")[1].partition("m")[0] for row in coloured[1:]}) == 2


def test_an_empty_list_says_how_the_first_key_comes_to_be(db: None, capsys: Output) -> None:
    call_command("list_keys", "--state", "active")
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr == (
        "There is nothing yet: make a service user with manage.py create_service_user NAME, then "
        "a key with manage.py mint_key --service NAME.\n"
    )
    call_command("create_service_user", "first", "--verbosity", "0")
    call_command("mint_key", "--service", "first", "--verbosity", "0")
    call_command("list_keys")
    assert "first" in capsys.readouterr().out


def test_a_list_that_an_option_has_emptied_says_that_nothing_matches(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    mint()
    call_command("list_keys", "--state", "revoked")
    assert capsys.readouterr() == ("", "Nothing matches.\n")


def test_json_is_an_array_of_objects(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    key = mint(name="ci", scopes=["sandbox:read"], lifetime=DAY).key
    revoke_key(key, reason="leaked")
    call_command("list_keys", "--format", "json")
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout) == [
        {
            "id": key.pk,
            "start": key.preview,
            "name": "ci",
            "service_user": "sandbox-runtime",
            "state": "revoked",
            "scopes": ["sandbox:read"],
            "permissions": {"sandbox": ["read"]},
            "allowed_scopes": ["sandbox:read"],
            "metadata": {},
            "delegation": None,
            "networks": [],
            "rate": None,
            "remaining": None,
            "refill": None,
            "enabled": True,
            "parent": None,
            "suspended": False,
            "created_at": "2026-12-01T12:00:00+00:00",
            "created_by": None,
            "expires_at": "2026-12-02T12:00:00+00:00",
            "last_used_at": None,
            "last_used_ip": None,
            "revoked_at": "2026-12-01T12:00:00+00:00",
            "revoke_reason": "leaked",
            "rotated_from": None,
            "rotated_at": None,
        }
    ]
    assert stderr == ""


def test_json_without_keys_is_an_empty_array(db: None, capsys: Output) -> None:
    assert listed(capsys) == []


def test_keys_are_in_the_order_of_their_making(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    for name in ("c", "a", "b"):
        mint(name=name)
    assert listed(capsys) == ["c", "a", "b"]


def test_service_is_one_service_users(in_each_state: dict[str, APIKey], capsys: Output) -> None:
    assert listed(capsys, "--service", "idle") == ["owner_inactive"]


def test_an_unknown_service_user_comes_with_the_nearest(service_user: ServiceUser) -> None:
    with pytest.raises(CommandError, match="Did you mean sandbox-runtime"):
        call_command("list_keys", "--service", "sandbox-runtme")


@pytest.mark.parametrize("state", KeyState.values)
def test_state_is_one_state(in_each_state: dict[str, APIKey], capsys: Output, state: str) -> None:
    assert listed(capsys, "--state", state) == [state]


def test_expiring_is_the_live_ones_that_end_soon(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    mint(name="over", lifetime=DAY, now=NOW - DAY)
    mint(name="soon", lifetime=14 * DAY)
    mint(name="later", lifetime=14 * DAY + timedelta(microseconds=1))
    mint(name="never", lifetime=None)
    revoke_key(mint(name="revoked", lifetime=DAY).key)
    assert listed(capsys, "--expiring", "14d") == ["soon"]


def test_unused_is_the_live_ones_that_nobody_has_used_for_so_long(
    mint: Callable[..., IssuedKey], capsys: Output
) -> None:
    def mint_and_use(name: str, minted: int, used: int | None) -> None:
        issued = mint(name=name, lifetime=None, now=NOW - minted * DAY)
        if used is not None:
            verify_key(issued.secret.reveal(), now=NOW - used * DAY)

    mint_and_use("never used", 90, None)
    mint_and_use("new", 89, None)
    mint_and_use("left", 200, 90)
    mint_and_use("busy", 200, 89)
    revoke_key(mint(name="revoked", lifetime=None, now=NOW - 100 * DAY).key)
    assert listed(capsys, "--unused", "90d") == ["never used", "left"]


def test_filters_combine(mint: Callable[..., IssuedKey], capsys: Output) -> None:
    mint(name="over", lifetime=DAY, now=NOW - 3 * DAY)
    mint(name="soon", lifetime=5 * DAY, now=NOW - 3 * DAY)
    assert listed(capsys, "--expiring", "14d", "--unused", "2d") == ["soon"]
    assert listed(capsys, "--expiring", "14d", "--state", "expired") == ["over"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--expiring", "14"], "'14' is not a duration"),
        (["--unused", "soon"], "'soon' is not a duration"),
        (["--state", "dead"], "invalid choice: 'dead'"),
        (["--format", "env"], "invalid choice: 'env'"),
    ],
)
@pytest.mark.usefixtures("db")
def test_bad_input_says_what_to_type(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("list_keys", *arguments)


class Failing(io.StringIO):
    """A stream whose text can't be got rid of."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def flush(self) -> None:
        if not self.closed:
            raise OSError(self._number, os.strerror(self._number))


def test_reader_that_left_ends_the_list_without_a_word(capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        call_command("list_keys", stdout=Failing(errno.EPIPE))
    assert caught.value.code == 141
    assert "Traceback" not in capsys.readouterr().err


def test_full_disk_is_an_error_in_words() -> None:
    with pytest.raises(CommandError, match=r"could not be written \(No space left on device\)"):
        call_command("list_keys", stdout=Failing(errno.ENOSPC))


def test_closed_stdout_is_an_error_in_words(service_user: ServiceUser) -> None:
    mint_key(service_user)
    closed = io.StringIO()
    closed.close()
    with pytest.raises(CommandError, match=r"could not be written \(the stream is closed\)"):
        call_command("list_keys", stdout=closed)


def test_closed_stdout_is_no_error_without_an_answer() -> None:
    closed = io.StringIO()
    closed.close()
    call_command("list_keys", stdout=closed)
