"""What docs/leak.md shows, run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django import VERSION
from django.test import Client

from pikku_auth.exceptions import Refused
from pikku_auth.flows import IssuedKey, revoke_key, verify_key
from pikku_auth.models import APIKey
from pikku_auth.signals import key_refused
from tests.docs.commands import manage_commands, run_commands, typed_in
from tests.docs.pages import examples, run
from tests.families import child_of, parent_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
Output = pytest.CaptureFixture[str]


def is_good(issued: IssuedKey) -> bool:
    try:
        verify_key(issued.secret.reveal())
    except Refused:
        return False
    return True


def test_whoever_holds_the_secret_ends_it(mint: Mint) -> None:
    with_the_secret, *_ = examples("leak.md", "console")
    issued = mint()
    curl = typed_in(with_the_secret)[-1]
    found = re.fullmatch(r'curl -d "(\w+)=\$SECRET" (\S+)', curl)
    assert found
    answer: Any = Client().post(
        urlsplit(found[2]).path,
        f"{found[1]}={issued.secret.reveal()}",
        content_type="application/x-www-form-urlencoded",
    )
    assert (answer.status_code, answer.json()) == (200, {})
    assert not is_good(issued)


def test_an_operator_ends_it_by_its_preview(mint: Mint) -> None:
    _, by_preview, *_ = examples("leak.md", "console")
    issued = mint()
    run_commands(by_preview, issued.key, "--no-input")
    assert not is_good(issued)
    issued.key.refresh_from_db()
    assert issued.key.revoke_reason == "found in a public log"


def test_the_audit_trail_and_the_children_are_listed(mint: Mint, capsys: Output) -> None:
    _, by_preview, listing, _ = examples("leak.md", "console")
    parent = parent_of(mint().key.service_user)
    child = child_of(parent)
    run_commands(by_preview, parent.key, "--no-input")
    capsys.readouterr()
    run_commands(listing, parent.key)
    told = capsys.readouterr().out
    assert "found in a public log" in told
    assert child.key.preview in told


def test_recent_keys_of_a_machine_are_listed_and_then_revoked(mint: Mint, capsys: Output) -> None:
    *_, recent = examples("leak.md", "console")
    issued = mint()
    dry, wet = manage_commands(recent)
    run_commands(f"manage.py {' '.join(dry)}")
    assert issued.key.preview in capsys.readouterr().out
    assert is_good(issued)
    run_commands(recent, None, "--no-input")
    assert not APIKey.objects.filter(revoked_at=None).exists()
    assert "--dry-run" not in wet


def test_use_of_a_revoked_key_is_told_by_mail(mint: Mint, settings: Any, mailoutbox: Any) -> None:
    settings.ADMINS = ["ops@example.com"] if VERSION >= (6,) else [("Ops", "ops@example.com")]
    (receiving,) = examples("leak.md")
    receiver = run(receiving, {})["tell_of_a_revoked_key"]
    try:
        revoked, disabled = mint(), mint(name="another")
        revoke_key(revoked.key)
        assert [is_good(revoked), is_good(disabled)] == [False, True]
    finally:
        key_refused.disconnect(receiver)
    (mail,) = mailoutbox
    assert str(revoked.key) in mail.body
