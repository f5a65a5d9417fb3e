"""Writing when a credential was used, which waits for no lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction

from pikku_auth.flows import IssuedKey, verify_key
from pikku_auth.models import APIKey
from tests.flows.test_concurrency import outcomes
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it locks its whole file")
def test_writing_when_a_key_was_used_waits_for_nobody(mint: Mint) -> None:
    """Such as staff, whose transaction has the row, or another worker that writes the same."""
    issued = mint()
    with transaction.atomic():
        APIKey.objects.select_for_update().get(pk=issued.key.pk)
        with ThreadPoolExecutor(1) as pool:
            using = pool.submit(use_elsewhere, issued.secret.reveal())
            using.result(PATIENCE)
    assert APIKey.objects.get().last_used_at is None
    use_elsewhere(issued.secret.reveal())
    assert APIKey.objects.get().last_used_at is not None


def use_elsewhere(secret: str) -> None:
    """In this thread, which writes what was noted at the end."""
    try:
        verify_key(secret)
    finally:
        connections.close_all()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the others skip a row that is locked")
def test_sqlite_does_not_wait_for_its_file_either(mint: Mint) -> None:
    """Nor does it forget how long the host's own statements wait."""
    issued, patience = mint(), busy_timeout()
    seen: list[int] = []

    def look(execute: Any, sql: str, *others: Any) -> Any:
        if sql.startswith("UPDATE"):
            seen.append(busy_timeout())
        return execute(sql, *others)

    with connection.execute_wrapper(look):
        verify_key(issued.secret.reveal())
    assert seen == [0]
    assert busy_timeout() == patience > 0


def busy_timeout() -> int:
    milliseconds: int = connection.connection.execute("PRAGMA busy_timeout").fetchone()[0]
    return milliseconds


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it locks its whole file")
def test_of_many_workers_that_find_a_use_due_nobody_waits(mint: Mint) -> None:
    issued = mint()
    assert outcomes(lambda: verify_key(issued.secret.reveal()), times=30) == {"Principal": 30}
    assert APIKey.objects.get().last_used_at is not None
