"""What must be atomic, with real threads on a real database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import close_old_connections, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import (
    InvalidInput,
    InvalidKey,
    KeyNotLive,
    LimitExceeded,
    PikkuAuthError,
)
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    notify_expiring,
    revoke_key,
    rotate_key,
    set_service_user_contacts,
    verify_key,
)
from pikku_auth.flows.database import outside_transaction
from pikku_auth.models import APIKey, AuditEvent, Notice, ServiceUser
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
Database: Any = connection.Database  # type: ignore[attr-defined]  # the driver
AT_ONCE = 40
"""Database connections at a time: PostgreSQL has a hundred for everybody."""


def outcomes(act: Callable[[], object], times: int) -> Counter[str]:
    """Run ``act`` in that many threads at once; count results and refusals by their class."""
    everyone, room = threading.Barrier(times, timeout=PATIENCE), threading.BoundedSemaphore(AT_ONCE)

    def run(_: int) -> str:
        everyone.wait()
        with room:
            try:
                return type(act()).__name__
            except PikkuAuthError as error:
                return type(error).__name__
            finally:
                connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(run, range(times)))


def test_a_quota_of_fifty_admits_fifty_of_a_hundred_threads(mint: Mint) -> None:
    issued = mint(quota=50)
    counted = outcomes(lambda: verify_key(issued.secret.reveal()), times=100)
    assert counted == {"Principal": 50, LimitExceeded.__name__: 50}


def test_a_rate_of_fifty_admits_fifty_of_a_hundred_threads(mint: Mint) -> None:
    issued = mint(rate=Rate(50, timedelta(weeks=5_000)))
    counted = outcomes(lambda: verify_key(issued.secret.reveal()), times=100)
    assert counted == {"Principal": 50, LimitExceeded.__name__: 50}


def test_a_refill_happens_once_however_many_ask_for_it(mint: Mint) -> None:
    issued = mint(quota=1, refill=Rate(5, timedelta(days=1)))
    tomorrow = issued.key.created_at + timedelta(days=1)
    counted = outcomes(lambda: verify_key(issued.secret.reveal(), now=tomorrow), times=20)
    assert counted == {"Principal": 5, LimitExceeded.__name__: 15}


def test_a_key_rotated_by_many_at_once_has_one_successor(mint: Mint) -> None:
    issued = mint()
    counted = outcomes(lambda: rotate_key(issued.key, overlap=timedelta(hours=1)), times=16)
    assert counted == {"IssuedKey": 1, KeyNotLive.__name__: 15}
    assert APIKey.objects.filter(rotated_from=issued.key).count() == 1


def test_a_key_revoked_by_many_at_once_is_revoked_once(mint: Mint) -> None:
    issued = mint()

    def revoke() -> object:
        return revoke_key(APIKey.objects.get(pk=issued.key.pk)) or None

    assert outcomes(revoke, times=16) == {"bool": 1, "NoneType": 15}
    assert AuditEvent.objects.filter(action=AuditEvent.Action.KEY_REVOKED).count() == 1


@pytest.mark.parametrize("round_", range(10))
def test_a_key_that_was_revoked_while_it_was_rotated_is_dead(mint: Mint, round_: int) -> None:
    issued = mint()
    turns = iter([revoke_key, rotate_at_once] * 4)

    def act() -> object:
        return next(turns)(APIKey.objects.get(pk=issued.key.pk))

    counted = outcomes(act, times=8)
    assert counted["IssuedKey"] == APIKey.objects.filter(rotated_from=issued.key).count() <= 1
    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())


def rotate_at_once(key: APIKey) -> IssuedKey:
    return rotate_key(key, overlap=None)


def test_a_service_user_made_by_many_at_once_is_made_once() -> None:
    counted = outcomes(lambda: create_service_user("builder"), times=8)
    assert counted == {"ServiceUser": 1, InvalidInput.__name__: 7}
    assert ServiceUser.objects.get().user is not None


@contextmanager
def doomed_transaction() -> Iterator[None]:
    """The caller's transaction, which fails in the end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def second_connection() -> BaseDatabaseWrapper:
    """The one that counting happens on inside a transaction, opened."""
    with outside_transaction("default"):
        second = connections["default"]
        second.ensure_connection()
    return second


def is_open(session: Any) -> bool:
    """Whether the driver's connection still answers."""
    try:
        session.cursor().execute("SELECT 1")
    except Database.Error:
        return False
    return True


def close() -> None:
    connection.close()


def let_it_expire() -> None:
    connections["default"].close_at = 0
    close_old_connections()


class TestInsideTheCallersTransaction:
    """As under ``ATOMIC_REQUESTS``: the view's transaction is open while a call is counted."""

    def test_a_spent_call_stays_spent_when_the_view_rolls_back(self, mint: Mint) -> None:
        issued = mint(quota=5)
        with doomed_transaction():
            verify_key(issued.secret.reveal())
        assert APIKey.objects.get(pk=issued.key.pk).remaining == 4

    def test_no_lock_is_held_while_the_view_runs(self, mint: Mint) -> None:
        issued = mint(quota=5)
        with transaction.atomic():
            verify_key(issued.secret.reveal())
            assert outcomes(lambda: revoke_key(issued.key), times=1) == {"bool": 1}

    def test_the_callers_connection_is_back_afterwards(self, mint: Mint) -> None:
        issued, before = mint(quota=5), connections["default"]
        with transaction.atomic():
            verify_key(issued.secret.reveal())
            assert connections["default"] is before

    def test_it_is_back_after_a_refusal_too(self, mint: Mint) -> None:
        issued, before = mint(quota=1), connections["default"]
        verify_key(issued.secret.reveal())
        with transaction.atomic():
            with pytest.raises(LimitExceeded):
                verify_key(issued.secret.reveal())
            assert connections["default"] is before

    @pytest.mark.parametrize("limits", [{}, {"quota": 5}], ids=["unlimited", "limited"])
    def test_only_counting_needs_the_second_connection(
        self, mint: Mint, limits: dict[str, Any]
    ) -> None:
        issued = mint(**limits)
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            verify_key(issued.secret.reveal())
        reads = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        schema = int(bool(limits) and connection.vendor == "postgresql")  # the other one's, too
        assert len(reads) == (0 if connection.vendor == "sqlite" else 1 + schema)
        assert not [query for query in queries if query["sql"].startswith("UPDATE")]

    def test_last_used_at_waits_for_the_end_of_the_transaction(self, mint: Mint) -> None:
        issued = mint()
        with transaction.atomic():
            verify_key(issued.secret.reveal())
        assert APIKey.objects.get(pk=issued.key.pk).last_used_at is None
        verify_key(mint().secret.reveal())
        assert APIKey.objects.get(pk=issued.key.pk).last_used_at is not None

    def test_the_second_connection_is_closed_when_connections_are_not_kept(
        self, mint: Mint
    ) -> None:
        with transaction.atomic():
            second = second_connection()
            assert second.connection is None
            assert second_connection() is second

    @pytest.fixture
    def kept(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A host that keeps its connections."""
        monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
        yield
        connections.close_all()

    def test_the_second_connection_is_kept_when_connections_are(self, kept: None) -> None:
        with transaction.atomic():
            session = second_connection().connection
        with transaction.atomic():
            assert second_connection().connection is session
        assert is_open(session)

    @pytest.mark.parametrize("end", [close, connections.close_all, let_it_expire])
    def test_the_second_connection_ends_with_the_first(
        self, kept: None, end: Callable[[], None]
    ) -> None:
        with transaction.atomic():
            second = second_connection()
        session = second.connection
        end()
        assert second.connection is None
        assert not is_open(session)

    def test_it_comes_back_with_the_first(self, kept: None, mint: Mint) -> None:
        issued = mint(quota=5)
        for _ in range(2):
            with doomed_transaction():
                verify_key(issued.secret.reveal())
            connections.close_all()
        assert APIKey.objects.get(pk=issued.key.pk).remaining == 3

    def test_threads_that_have_ended_leave_no_session_behind(self, kept: None) -> None:
        sessions: list[Any] = []

        def act() -> object:
            with transaction.atomic():
                session: Any = second_connection().connection
            sessions.append(session)
            return is_open(session) or None

        assert outcomes(act, times=20) == {"bool": 20}
        assert [is_open(session) for session in sessions] == [False] * 20

    def test_threads_that_share_a_connection_share_its_second(self, kept: None) -> None:
        shared = connections["default"]

        def act() -> BaseDatabaseWrapper:
            connections["default"] = shared
            return second_connection()

        shared.inc_thread_sharing()
        with transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(act).result() is second_connection()
        shared.dec_thread_sharing()


def test_of_eight_runs_one_warns_of_a_key(service_user: ServiceUser, mint: Mint) -> None:
    set_service_user_contacts(service_user, ["ops@example.com"])
    day = timedelta(days=1)
    mint(lifetime=30 * day, now=timezone.now() - 29 * day)
    runs = outcomes(lambda: list(notify_expiring(within=[14 * day])), times=8)
    assert runs == {"list": 8}
    assert len(mail.outbox) == 1
    assert Notice.objects.get().held_until is None
