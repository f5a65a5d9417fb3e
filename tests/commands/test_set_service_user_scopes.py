"""``manage.py set_service_user_scopes NAME``, and what other commands say of a ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pikku_auth.flows import IssuedKey, set_service_user_scopes
from pikku_auth.models import AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]

CEILINGS: list[tuple[list[str], Any, str]] = [
    (["--scope", "sandbox:read", "--scope", "perm:*"], ["perm:*", "sandbox:read"],
     "may do at most: perm:*, sandbox:read"),
    (["--nothing"], [], "may do nothing"),
    (["--no-ceiling"], None, "have no ceiling"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "scopes", "told"), CEILINGS)
def test_the_command_sets_the_ceiling_and_says_so(
    service_user: ServiceUser, capsys: Output, arguments: list[str], scopes: Any, told: str
) -> None:
    set_service_user_scopes(service_user, ["sandbox:write"])
    call_command("set_service_user_scopes", "sandbox-runtime", *arguments)
    assert ServiceUser.objects.get().scopes == scopes
    assert capsys.readouterr() == ("", f"The keys of sandbox-runtime {told}.\n")
    assert AuditEvent.objects.latest("pk").source == "command"


@pytest.mark.parametrize("arguments", [[], ["--nothing", "--no-ceiling"]])
def test_it_is_said_which_ceiling_is_meant(service_user: ServiceUser, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("set_service_user_scopes", "sandbox-runtime", *arguments)


def test_an_unknown_scope_is_refused(service_user: ServiceUser) -> None:
    with pytest.raises(CommandError, match="Unknown scope"):
        call_command("set_service_user_scopes", "sandbox-runtime", "--scope", "unheard:of")


def test_a_service_user_is_made_with_a_ceiling() -> None:
    call_command("create_service_user", "builder", "--max-scope", "sandbox:read")
    assert ServiceUser.objects.get().scopes == ["sandbox:read"]


def test_list_keys_shows_what_a_key_may_do_now(mint: Mint, capsys: Output) -> None:
    key = mint(scopes=["sandbox:*"]).key
    set_service_user_scopes(key.service_user, ["sandbox:read"])
    call_command("list_keys")
    assert "sandbox:read (ceiling cuts sandbox:*)" in capsys.readouterr().out
    set_service_user_scopes(key.service_user, [])
    call_command("list_keys")
    assert "none (ceiling cuts sandbox:*)" in capsys.readouterr().out
    call_command("list_keys", "--format", "json")
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["scopes"], told["allowed_scopes"]) == (["sandbox:*"], [])


def test_minting_beyond_the_ceiling_is_told(service_user: ServiceUser, capsys: Output) -> None:
    set_service_user_scopes(service_user, ["sandbox:read"])
    call_command("mint_key", "--service", "sandbox-runtime", "--scope", "sandbox:*")
    told = capsys.readouterr().err
    assert "The ceiling of sandbox-runtime allows of these: sandbox:read." in told
