"""A process killed at any statement leaves no half-made key, and the old key working."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from pikku_auth.flows import IssuedKey, mint_key, rotate_key, verify_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
MOST_STATEMENTS = 60


class Killer:
    """Kills this process before its ``at``-th statement, and counts the others."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return execute(sql, params, many, context)


def killed_at(statement: int, act: Callable[[], object]) -> bool:
    """Run ``act`` in a child that is killed at that statement; whether it was."""
    connections.close_all()  # or parent and child would talk over one socket
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        in_the_child(statement, act)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, -signal.SIGKILL}
    return code != 0


def in_the_child(statement: int, act: Callable[[], object]) -> None:
    """Ends in SIGKILL or ``_exit``, and in SIGALRM if it takes too long."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)
    try:
        with connection.execute_wrapper(Killer(statement)):
            act()
        connections.close_all()
        os._exit(0)
    finally:
        os._exit(1)


def kill_everywhere(act: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill ``act`` at its first statement, its second, and so on until it survives."""
    for statement in range(MOST_STATEMENTS):
        if not killed_at(statement, act):
            return statement
        check()
    raise AssertionError("it never came to an end")


def test_a_killed_mint_leaves_nothing(service_user: ServiceUser) -> None:
    def nothing_was_made() -> None:
        assert not APIKey.objects.exists()
        assert not AuditEvent.objects.filter(action=AuditEvent.Action.KEY_MINTED).exists()

    statements = kill_everywhere(lambda: mint_key(service_user), nothing_was_made)
    assert statements >= 2
    assert APIKey.objects.count() == 1


@pytest.mark.parametrize("overlap", [timedelta(hours=1), None], ids=["overlap", "at once"])
def test_a_killed_rotation_leaves_the_old_key_working(
    mint: Mint, overlap: timedelta | None
) -> None:
    issued = mint(scopes=["sandbox:read"])
    expires_at = APIKey.objects.get().expires_at

    def the_old_key_is_as_before() -> None:
        key = verify_key(issued.secret.reveal()).key
        assert key.expires_at == expires_at
        assert key.rotated_at is None
        assert APIKey.objects.count() == 1

    statements = kill_everywhere(
        lambda: rotate_key(issued.key, overlap=overlap), the_old_key_is_as_before
    )
    assert statements >= 4
    assert APIKey.objects.count() == 2


@pytest.mark.parametrize("command", [["mint_key", "--service=sandbox-runtime"], ["rotate_key"]])
def test_a_killed_command_leaves_the_old_key_working(mint: Mint, command: list[str]) -> None:
    issued = mint()
    if command == ["rotate_key"]:
        command = [*command, str(issued.key.pk), "--now"]

    def the_old_key_is_alone() -> None:
        assert verify_key(issued.secret.reveal())
        assert APIKey.objects.count() == 1

    kill_everywhere(
        lambda: call_command(*command, stdout=StringIO(), stderr=StringIO()), the_old_key_is_alone
    )
    assert APIKey.objects.count() == 2
