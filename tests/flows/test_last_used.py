"""Writing when a credential was used, which waits for no lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from pikku_auth.flows import IssuedKey, last_used, verify_key
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


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it writes one after another")
def test_of_many_workers_that_find_a_use_due_at_once_one_writes_it(mint: Mint) -> None:
    issued, workers = mint(), 8
    found_due, written = Barrier(workers), list[str]()

    def use() -> None:
        try:
            key = APIKey.objects.select_related("service_user__user").get()
            found_due.wait(PATIENCE)
            last_used.note(key, timezone.now(), "192.0.2.1")
            with connection.execute_wrapper(counting):
                last_used.flush()
        finally:
            connections.close_all()

    def counting(execute: Any, sql: str, *others: Any) -> Any:
        if sql.startswith("UPDATE"):
            written.append(sql)
        return execute(sql, *others)

    with ThreadPoolExecutor(workers) as pool:
        for run in [pool.submit(use) for _ in range(workers)]:
            run.result(PATIENCE)
    assert len(written) == 1
    assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None


def test_who_finds_a_use_due_that_is_written_meanwhile_does_not_write_it_again(mint: Mint) -> None:
    mint()
    stale = [APIKey.objects.get() for _ in range(3)]
    times = []
    for key in stale:
        last_used.note(key, timezone.now(), "192.0.2.1")
        last_used.flush()
        times.append(APIKey.objects.get().last_used_at)
    assert times[0] is not None
    assert len(set(times)) == 1


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
