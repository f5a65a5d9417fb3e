"""``manage.py notify_expiring``: who is warned of which keys, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import CommandError, call_command
from freezegun import freeze_time

from pikku_auth import signals
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    disable_key,
    mint_key,
    notify_expiring,
    revoke_key,
    rotate_key,
    set_service_user_contacts,
    verify_key,
)
from pikku_auth.flows.last_used import flush
from pikku_auth.models import APIKey, Notice, ServiceUser
from tests.families import child_of, many_children, parent_of
from tests.mailers import IN_MEMORY, mail_by

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OPS = "ops@example.com"

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with freeze_time(NOW):
        yield


@pytest.fixture(autouse=True)
def _contact(service_user: ServiceUser) -> None:
    set_service_user_contacts(service_user, [OPS])


def ending_in(days: float, owner: ServiceUser | str = "sandbox-runtime", **options: Any) -> APIKey:
    """A key that has lived for 60 days."""
    minted = NOW - 60 * DAY
    return mint_key(owner, lifetime=(60 + days) * DAY, now=minted, **options).key


def used(key: APIKey, ago: timedelta) -> None:
    APIKey.objects.filter(pk=key.pk).update(last_used_at=NOW - ago)


def notify(*arguments: str) -> list[str]:
    """The subjects of what is mailed."""
    mail.outbox.clear()
    call_command("notify_expiring", *arguments)
    return [one.subject for one in mail.outbox]


def test_contacts_hear_of_a_key_that_ends_soon(capsys: Output) -> None:
    key = ending_in(9, name="production")
    ending_in(15)
    used(key, timedelta(hours=1))
    assert notify("--within", "14d") == ["1 API key of sandbox-runtime ends soon"]
    (one,) = mail.outbox
    assert one.to == [OPS]
    assert one.body == (
        "These API keys of the service user sandbox-runtime end soon:\n"
        "\n"
        f"  production ({key.preview}…)\n"
        "  Ends: 2026-12-10 12:00 UTC\n"
        "  Last used: 2026-12-01 11:00 UTC\n"
        "\n"
        "Rotate a key before it ends, and give the new one to its callers:\n"
        "\n"
        f"  manage.py rotate_key {key.preview}\n"
    )
    said = "1 key of sandbox-runtime about to end: told ops@example.com.\n"
    assert capsys.readouterr() == ("", said)


def test_each_key_is_told_once_for_each_time(capsys: Output) -> None:
    ending_in(9)
    assert notify("--within", "14d")
    capsys.readouterr()
    assert notify("--within", "14d") == []
    assert capsys.readouterr() == ("", "")
    with freeze_time(NOW + 7 * DAY):
        assert notify("--within", "14d", "--within", "3d")
        assert notify("--within", "14d", "--within", "3d") == []


def test_the_keys_of_a_service_user_are_in_one_mail_and_those_of_another_in_another() -> None:
    other = create_service_user("builder", contacts=["ada@example.com"])
    ending_in(1), ending_in(2), ending_in(3, other)
    assert notify("--within", "14d") == [
        "1 API key of builder ends soon",
        "2 API keys of sandbox-runtime end soon",
    ]
    assert [one.to for one in mail.outbox] == [["ada@example.com"], [OPS]]


def test_a_key_whose_successor_is_in_use_is_not_told(mint: Mint) -> None:
    key = ending_in(9)
    successor = rotate_key(key)
    assert notify("--within", "14d")
    assert "nobody has used its successor yet" in mail.outbox[0].body
    Notice.objects.all().delete()
    verify_key(successor.secret.reveal())
    flush()
    assert notify("--within", "14d") == []
    revoke_key(successor.key)
    assert notify("--within", "14d")


def test_dead_keys_and_those_that_were_not_to_live_longer_are_not_told(mint: Mint) -> None:
    revoke_key(ending_in(9))
    disable_key(ending_in(9))
    ending_in(-1)
    mint(lifetime=DAY)
    mint(lifetime=None)
    assert notify("--within", "14d") == []


def test_a_key_that_another_has_minted_is_not_told() -> None:
    parent = parent_of("sandbox-runtime")
    child_of(parent)
    assert notify("--unused", "1d", "--within", "1d") == []
    with freeze_time(NOW + 2 * DAY):
        assert notify("--unused", "1d") == ["Nobody uses 1 API key of sandbox-runtime"]


def test_keys_that_nobody_uses_are_told_and_told_anew_after_another_use() -> None:
    key = ending_in(400)
    used(ending_in(400), 29 * DAY)
    assert notify("--unused", "30d", "--unused", "90d") == [
        "Nobody uses 1 API key of sandbox-runtime"
    ]
    (one,) = mail.outbox
    assert f"{key.preview}…\n  Last used: never\n" in one.body
    assert f"manage.py disable_key {key.preview}" in one.body
    assert f"manage.py revoke_key {key.preview}" in one.body
    assert notify("--unused", "30d", "--unused", "90d") == []
    used(key, 31 * DAY)
    assert notify("--unused", "30d")


def test_nobody_to_tell_is_told_each_time_and_fails(
    service_user: ServiceUser, capsys: Output
) -> None:
    set_service_user_contacts(service_user, [])
    ending_in(9)
    for _ in range(2):
        with pytest.raises(CommandError, match="Not everybody was told") as error:
            notify("--within", "14d")
        assert error.value.returncode == 1
        assert "manage.py set_service_user_contacts sandbox-runtime" in capsys.readouterr().err
    assert notify("--within", "14d", "--default-to", "all@example.com")
    assert mail.outbox[0].to == ["all@example.com"]


class Away(BaseEmailBackend):
    """A mail server that is away."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError


def test_a_mail_that_fails_is_sent_by_the_next_run(settings: Any, capsys: Output) -> None:
    ending_in(9)
    mail_by(settings, f"{__name__}.Away")
    with pytest.raises(CommandError, match="Not everybody was told"):
        notify("--within", "14d")
    assert "could not be sent (ConnectionRefusedError)" in capsys.readouterr().err
    mail_by(settings, IN_MEMORY)
    assert notify("--within", "14d")


def test_a_run_that_was_killed_is_made_up_for_and_one_that_runs_is_not_disturbed() -> None:
    key = ending_in(9)
    about = "expiring 14d 2026-12-10T12:00:00Z"
    Notice.objects.create(key=key, about=about, held_until=NOW + timedelta(minutes=5))
    assert notify("--within", "14d") == []
    with freeze_time(NOW + timedelta(minutes=5)):
        assert notify("--within", "14d")
    notice = Notice.objects.get()
    assert (notice.about, notice.held_until) == (about, None)
    assert str(notice) == f"{key}: {about}"


def test_a_dry_run_tells_nobody(capsys: Output) -> None:
    ending_in(9)
    assert notify("--within", "14d", "--dry-run") == []
    assert capsys.readouterr().err == (
        "1 key of sandbox-runtime about to end: would tell ops@example.com.\n"
    )
    assert notify("--within", "14d")


def test_a_signal_is_sent_for_each_key_also_where_nobody_has_an_address(
    service_user: ServiceUser, capsys: Output, django_capture_on_commit_callbacks: Any
) -> None:
    set_service_user_contacts(service_user, [])
    key, heard = ending_in(9), []

    def hear(**given: Any) -> None:
        heard.append(given)

    signals.key_expiring.connect(hear)
    signals.key_unused.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert notify("--within", "14d", "--unused", "60d") == []
    finally:
        signals.key_expiring.disconnect(hear)
        signals.key_unused.disconnect(hear)
    assert "told receivers of the signal" in capsys.readouterr().err
    assert [one["key"] for one in heard] == [key, key]
    assert (heard[0]["within"], heard[1]["unused"]) == (14 * DAY, 60 * DAY)


def test_it_is_said_which_keys() -> None:
    with pytest.raises(CommandError, match="Of which keys"):
        notify()
    with pytest.raises(CommandError, match="is no e-mail address"):
        notify("--within", "14d", "--default-to", "ops")
    with pytest.raises(InvalidInput, match="longer than zero"):
        list(notify_expiring(within=[timedelta(0)]))


def test_the_mail_speaks_the_language_of_the_site(settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    ending_in(9)
    assert notify("--within", "14d") == ["1 API-Schlüssel von sandbox-runtime endet bald"]


def test_a_host_can_replace_the_template_and_no_text_in_it_adds_a_header(
    settings: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "pikku_auth" / "mail"
    folder.mkdir(parents=True)
    (folder / "keys_expiring_subject.txt").write_text("Look:\r\nBcc: eve@example.com\u2028")
    (folder / "keys_expiring.txt").write_text("{{ keys.0.name }} of {{ service_user.name }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    ending_in(9, name="a <b> & c")
    assert notify("--within", "14d") == ["Look: Bcc: eve@example.com"]
    assert mail.outbox[0].recipients() == [OPS]


def test_a_mail_names_a_hundred_keys_and_counts_the_others(service_user: ServiceUser) -> None:
    many_children(ending_in(400), 1_001)
    APIKey.objects.filter(name__startswith="child-").update(
        parent=None, created_at=NOW - 100 * DAY, expires_at=NOW + 9 * DAY
    )
    assert notify("--within", "14d") == ["1001 API keys of sandbox-runtime end soon"]
    body = mail.outbox[0].body
    assert body.count("Ends: ") == 100
    assert "\n  And 901 more.\n" in body
    assert notify("--within", "14d") == []


def test_no_name_is_escaped_as_in_html() -> None:
    ending_in(9, name="a <b> & c")
    notify("--within", "14d")
    assert "  a <b> & c (pka_" in mail.outbox[0].body


@pytest.mark.parametrize(("days", "code"), [(9, 1), (15, None)])
def test_list_keys_can_say_by_its_exit_code_that_there_is_one(
    days: int, code: int | None, capsys: Output
) -> None:
    ending_in(days)
    status = None
    try:
        call_command("list_keys", "--expiring", "14d", "--exit-code", "--format", "jsonl")
    except SystemExit as error:
        status = error.code
    assert status == code
    assert len(capsys.readouterr().out.splitlines()) == (code or 0)
