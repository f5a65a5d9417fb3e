"""A cache that is killed, frozen or emptied: the database is asked, and nobody gets in by that."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from pikku_auth.exceptions import Refused
from pikku_auth.flows import IssuedKey, revoke_key, verify_key
from pikku_auth.flows.cache import rows, stamps
from pikku_auth.models import APIKey
from tests.cache.conftest import RedisServer
from tests.cache.test_cache import call, statements, warm
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
FAILURES: dict[str, Callable[[RedisServer], Any]] = {
    "killed": RedisServer.kill,
    "frozen": RedisServer.freeze,
    "emptied": lambda redis: redis.client.flushall(),
    "read-only": lambda redis: redis.client.replicaof("127.0.0.1", 1),
    "asking for a password": lambda redis: redis.client.config_set("requirepass", "swordfish"),
}


@pytest.fixture
def issued(mint: Mint) -> IssuedKey:
    return mint()


@pytest.mark.parametrize("failure", FAILURES)
def test_the_database_is_asked_while_the_cache_fails(
    issued: IssuedKey,
    redis: RedisServer,
    failure: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    warm(issued)
    FAILURES[failure](redis)
    for _ in range(3):
        call(issued)
    with django_capture_on_commit_callbacks(execute=True):
        revoke_key(issued.key)
    for _ in range(3):
        with pytest.raises(Refused):
            call(issued)


def test_a_connection_that_redis_has_closed_is_made_anew_at_once(
    issued: IssuedKey, redis: RedisServer
) -> None:
    """Such as by its ``timeout``."""
    warm(issued)
    redis.client.client_kill_filter(_type="normal", skipme=True)
    assert statements(issued) == []


@pytest.mark.parametrize("failure", ["killed", "frozen"])
def test_a_cache_that_comes_back_is_used_again(
    issued: IssuedKey, redis: RedisServer, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(issued)
    FAILURES[failure](redis)
    call(issued)
    redis.restore()
    call(issued)  # it is not yet asked again
    monotonic = time.monotonic
    monkeypatch.setattr(stamps.time, "monotonic", lambda: monotonic() + stamps._PAUSE["read"])
    warm(issued)


def test_a_frozen_cache_is_waited_for_once_and_not_by_every_request(
    issued: IssuedKey, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(issued)
    asked: list[object] = []
    original = stamps.client(stamps.conf.cache).execute_command

    def counted(*words: object) -> Any:
        asked.append(words)
        return original(*words)

    monkeypatch.setattr(stamps.client(stamps.conf.cache), "execute_command", counted)
    redis.freeze()
    for _ in range(20):
        call(issued)
    assert len(asked) <= 2  # the machine may stand still for a second


def test_an_act_that_the_cache_is_not_told_of_stands_and_says_from_when_it_holds(
    issued: IssuedKey,
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    warm(issued)
    redis.freeze()
    began = timezone.now()
    with django_capture_on_commit_callbacks(execute=True):
        assert revoke_key(issued.key)
    told = caplog.records[-1].getMessage()
    named = datetime.fromisoformat(told.split(" from ")[1].split(" on")[0])
    assert began + stamps.LIFETIME - timedelta(seconds=1) <= named
    assert named <= timezone.now() + stamps.LIFETIME
    assert APIKey.objects.get().revoked_at is not None


def test_an_act_holds_at_the_named_moment_in_a_process_that_was_not_told(
    issued: IssuedKey, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Redis answers, as before a network was cut."""
    warm(issued)
    APIKey.objects.update(revoked_at=timezone.now())
    call(issued)
    monotonic, later = time.monotonic, stamps.LIFETIME.total_seconds()
    monkeypatch.setattr(rows.time, "monotonic", lambda: monotonic() + later)
    with pytest.raises(Refused):
        call(issued)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("killed", [False, True])
def test_what_another_process_reads_before_the_commit_is_used_no_more_after_it(
    issued: IssuedKey, redis: RedisServer, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if this one is killed between its commit and the second change of the stamp.

    Then it is what was read before the transaction that is used no more.
    """
    if connection.vendor == "sqlite":
        pytest.skip("it locks its whole file")
    warm(issued)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            revoke_key(issued.key)
            if killed:
                monkeypatch.setattr(stamps, "_change_committed", lambda _: None)
                connection.run_on_commit.clear()
            else:
                for _ in range(3):
                    pool.submit(elsewhere, issued).result(PATIENCE)
        with pytest.raises(Refused):
            call(issued)


def elsewhere(issued: IssuedKey) -> None:
    try:
        verify_key(issued.secret.reveal())
    finally:
        connections.close_all()
