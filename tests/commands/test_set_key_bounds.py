"""``manage.py set_key_bounds ID…``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from pikku_auth.core.limits import parse_rate
from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.models import APIKey, AuditEvent

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]
OFFICE = ["192.0.2.0/24", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--network", "198.51.100.0/24", "--network", "203.0.113.9"],
         "from 198.51.100.0/24, 203.0.113.9/32; at most 10/m; 50 calls left, set back to 100/d"),
        (["--any-network", "--no-rate", "--no-quota"], "from anywhere"),
        (["--rate", "5/s", "--quota", "7", "--no-refill"],
         "from 192.0.2.0/24, 2001:db8::/32; at most 5/s; 7 calls left"),
        (["--refill", "9/1d"],
         "from 192.0.2.0/24, 2001:db8::/32; at most 10/m; 50 calls left, set back to 9/d"),
    ],
)  # fmt: skip
def test_it_changes_what_is_named_and_says_what_holds_now(
    mint: Mint, capsys: Output, arguments: list[str], told: str
) -> None:
    limits = {"rate": parse_rate("10/m"), "quota": 50, "refill": parse_rate("100/1d")}
    key = mint(networks=OFFICE, name="ci", **limits).key
    call_command("set_key_bounds", key.pk, *arguments)
    assert capsys.readouterr() == ("", f"Changed {key} of sandbox-runtime: {told}.\n")
    assert AuditEvent.objects.latest("pk").source == "command"


def test_what_is_so_already_is_no_error(mint: Mint, capsys: Output) -> None:
    key = mint().key
    call_command("set_key_bounds", key.preview, "--any-network")
    told = f"Nothing to change for {key} of sandbox-runtime: from anywhere.\n"
    assert capsys.readouterr().err == told


def test_every_live_key_of_a_service_user_moves_at_once(mint: Mint) -> None:
    keys = [mint(networks=OFFICE).key for _ in range(3)]
    revoke_key(keys[0])
    call_command("set_key_bounds", "--service", "sandbox-runtime", "--network", "203.0.113.0/24")
    moved = [key.networks for key in APIKey.objects.order_by("pk")]
    assert moved == [OFFICE, ["203.0.113.0/24"], ["203.0.113.0/24"]]


def test_all_of_them_or_none(mint: Mint) -> None:
    alive, dead = mint().key, mint().key
    revoke_key(dead)
    with pytest.raises(CommandError, match=r"revoked or expired.* Nothing was changed\."):
        call_command("set_key_bounds", alive.pk, dead.pk, "--quota", "5")
    assert APIKey.objects.get(pk=alive.pk).remaining is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1"], "What is to change"),
        (["--quota", "5"], "Which keys"),
        (["1", "--service", "sandbox-runtime", "--quota", "5"], "Which keys"),
        (["1", "--quota", "many"], "not a number of calls"),
        (["1", "--rate", "fast"], "not a rate"),
        (["1", "--quota", "5", "--no-quota"], "not allowed with"),
    ],
)
def test_what_is_not_said_clearly_is_asked_for(
    mint: Mint, arguments: list[str], words: str
) -> None:
    mint()
    with pytest.raises(CommandError, match=words):
        call_command("set_key_bounds", *arguments)
