"""What docs/commands.md shows, typed."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from django.core.management import call_command

from pikku_auth.flows import mint_key
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.docs.pages import examples, text_of
from tests.families import child_of, parent_of


@pytest.mark.django_db
def test_mint_key_says_what_is_shown(
    service_user: ServiceUser, capsys: pytest.CaptureFixture[str]
) -> None:
    console, *_ = examples("commands.md", "console")
    typed, _, shown = console.partition("\n")
    found = re.fullmatch(r"\$ KEY=\$\(python manage\.py (.*)\)", typed)
    assert found
    call_command(*shlex.split(found[1]))
    key = APIKey.objects.get()
    assert key.expires_at is not None
    shown = shown.replace("Key 7", f"Key {key.pk}").replace("pka_Ab12Cd34", key.preview)
    shown = re.sub(r"expires \S+ \S+ UTC", f"expires {key.expires_at:%Y-%m-%d %H:%M} UTC", shown)
    assert capsys.readouterr().err == shown


@pytest.mark.django_db
def test_keys_move_as_is_shown(
    service_user: ServiceUser, capsys: pytest.CaptureFixture[str]
) -> None:
    key = mint_key(service_user, name="production").key
    _, console, *_ = examples("commands.md", "console")
    typed, _, shown = console.partition("\n")
    call_command(*shlex.split(typed.removeprefix("$ python manage.py ")))
    assert capsys.readouterr().err == shown.replace("pka_Ab12Cd34", key.preview)


@pytest.mark.django_db
def test_what_a_key_has_minted_follows_it_as_is_shown(
    service_user: ServiceUser, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = parent_of(service_user)
    for _ in range(2):
        child_of(parent)
    _, _, console, *_ = examples("commands.md", "console")
    lines = console.replace("pka_Ab12Cd34", parent.key.preview).splitlines()
    for typed, shown in zip(lines[::2], lines[1::2], strict=True):
        words = typed.removeprefix("$ python manage.py ").replace(" 7", f" {parent.key.pk}")
        call_command(*shlex.split(words))
        assert capsys.readouterr().err == f"{shown}\n"


@pytest.mark.django_db
def test_a_leak_is_answered_as_is_shown(
    service_user: ServiceUser, capsys: pytest.CaptureFixture[str]
) -> None:
    key = mint_key(service_user).key
    *_, console, _ = examples("commands.md", "console")
    dry, wet = [
        shlex.split(line.removeprefix("$ python manage.py ")) for line in console.splitlines()
    ]
    call_command(*dry)
    assert key.preview in capsys.readouterr().out
    call_command(*wet, "--no-input")
    key.refresh_from_db()
    assert key.revoke_reason == "found in a public log"


def test_show_access_lists_what_is_shown(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    *_, console = examples("commands.md", "console")
    typed, _, shown = console.partition("\n")
    settings.ROOT_URLCONF = "example_project.sandboxes.urls"
    call_command(*shlex.split(typed.removeprefix("$ python manage.py ")))
    assert capsys.readouterr().out == shown


def test_each_state_that_list_keys_knows_is_told() -> None:
    (states,) = re.findall(r"^`STATE` is (.*)\.$", text_of("commands.md"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", states) == KeyState.values
