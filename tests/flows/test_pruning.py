"""Forgetting what is long over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    create_service_user,
    disable_key,
    prune,
    revoke_key,
    revoke_login,
    rotate_key,
)
from pikku_auth.flows import pruning as module
from pikku_auth.flows.device_flow import start_login
from pikku_auth.flows.pruning import Pruned
from pikku_auth.flows.throttling import WRONG_CODES, spend_attempt
from pikku_auth.models import APIKey, Attempts, AuditEvent, DeviceCode, LoginSession
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
CENTURY = timedelta(days=36_500)


def prune_keys(now: datetime, older_than: timedelta = 180 * DAY) -> int:
    return prune(keys_older_than=older_than, events_older_than=CENTURY, now=now).keys


def test_a_key_is_deleted_once_it_has_been_revoked_for_so_long(
    mint: Callable[..., IssuedKey],
) -> None:
    revoke_key(mint(lifetime=None, now=NOW).key, now=NOW)
    assert prune_keys(NOW + 180 * DAY) == 0
    assert prune_keys(NOW + 180 * DAY + MICROSECOND) == 1
    assert not APIKey.objects.exists()


def test_a_key_is_deleted_once_it_has_been_expired_for_so_long(
    mint: Callable[..., IssuedKey],
) -> None:
    mint(lifetime=DAY, now=NOW)
    assert prune_keys(NOW + 181 * DAY) == 0
    assert prune_keys(NOW + 181 * DAY + MICROSECOND) == 1


def test_a_key_that_may_work_again_is_kept(mint: Callable[..., IssuedKey]) -> None:
    mint(lifetime=None, now=NOW)
    disable_key(mint(lifetime=None, now=NOW).key, now=NOW)
    assert prune_keys(NOW + CENTURY) == 0


def test_a_successor_outlives_the_key_it_came_from(mint: Callable[..., IssuedKey]) -> None:
    old = mint(lifetime=None, now=NOW).key
    new = rotate_key(old, overlap=None, now=NOW).key
    assert prune_keys(NOW + 181 * DAY) == 1
    assert APIKey.objects.get() == new
    assert APIKey.objects.get().rotated_from is None


def test_audit_events_are_deleted_when_they_are_so_old() -> None:
    create_service_user("builder", now=NOW)
    assert prune(keys_older_than=DAY, events_older_than=DAY, now=NOW + DAY) == Pruned(0, 0, 0, 0, 0)
    pruned = prune(keys_older_than=DAY, events_older_than=DAY, now=NOW + DAY + MICROSECOND)
    assert pruned == Pruned(0, 0, 0, 0, 1)
    assert AuditEvent.objects.get().action == "pruned"


def test_pruning_is_itself_recorded(mint: Callable[..., IssuedKey]) -> None:
    mint(lifetime=DAY, now=NOW)
    prune(
        keys_older_than=DAY,
        events_older_than=CENTURY,
        context=AuditContext(source="command", actor_name="root"),
        now=NOW + 3 * DAY,
    )
    event = AuditEvent.objects.get(action="pruned")
    assert (event.at, event.source, event.actor_name) == (NOW + 3 * DAY, "command", "root")
    assert event.details == {"keys": 1, "logins": 0, "events": 0}
    assert event.subject == ""


def test_pruning_nothing_records_nothing(mint: Callable[..., IssuedKey]) -> None:
    mint(lifetime=DAY, now=NOW)
    prune_keys(NOW + 3 * DAY, older_than=DAY)
    assert prune_keys(NOW + 3 * DAY, older_than=DAY) == 0
    assert AuditEvent.objects.filter(action="pruned").count() == 1


def test_pruning_goes_on_until_the_last_batch(
    monkeypatch: pytest.MonkeyPatch, mint: Callable[..., IssuedKey]
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for _ in range(5):
        mint(lifetime=DAY, now=NOW)
    pruned = prune(keys_older_than=DAY, events_older_than=DAY, now=NOW + 3 * DAY)
    assert pruned.keys == 5
    assert not APIKey.objects.exists()
    assert AuditEvent.objects.get().details == {"keys": 5, "logins": 0, "events": pruned.events}


class TestALongRun:
    """It is done in pieces, and can be stopped and gone on with."""

    @pytest.fixture(autouse=True)
    def _in_pairs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BATCH", 2)
        monkeypatch.setattr(module, "SECONDS_A_BATCH", 60)  # the machine may be busy

    @pytest.fixture
    def seven(self, mint: Callable[..., IssuedKey]) -> list[APIKey]:
        """Dead keys, each with a live one before it."""
        pairs = [(mint(lifetime=None), mint(lifetime=DAY, now=NOW)) for _ in range(7)]
        return [dead.key for _, dead in pairs]

    def prune(self, **options: Any) -> Pruned:
        later = NOW + 365 * DAY
        return prune(keys_older_than=DAY, events_older_than=CENTURY, now=later, **options)

    def test_the_rows_that_stay_are_passed_once(self, seven: list[APIKey]) -> None:
        with CaptureQueriesContext(connection) as asked:
            assert self.prune().keys == 7
        pages = [query["sql"] for query in asked if "LIMIT 2" in query["sql"]]
        of_keys = [sql for sql in pages if "pikku_auth_apikey" in sql and "SELECT" in sql]
        of_children, of_others = of_keys[:1], of_keys[1:]
        assert [sql.count(" > ") for sql in of_children] == [0]
        assert [sql.count(" > ") for sql in of_others] == [0, 1, 1, 1, 1]

    def test_no_more_than_the_limit_is_deleted_and_the_next_run_goes_on(
        self, seven: list[APIKey]
    ) -> None:
        runs = [self.prune(limit=3) for _ in range(3)]
        assert [(run.keys, run.is_done) for run in runs] == [(3, False), (3, False), (1, True)]

    def test_a_limit_that_is_just_enough_is_done(self, seven: list[APIKey]) -> None:
        assert self.prune(limit=7).is_done

    def test_nothing_begins_when_the_time_is_over(self, seven: list[APIKey]) -> None:
        pruned = self.prune(duration=timedelta(0))
        assert (pruned.keys, pruned.is_done) == (0, False)

    def test_enough_time_is_enough(self, seven: list[APIKey]) -> None:
        assert self.prune(duration=timedelta(hours=1)).keys == 7

    def test_its_progress_is_told(self, seven: list[APIKey]) -> None:
        told: list[tuple[str, int]] = []
        self.prune(progress=lambda *news: told.append(news))
        assert told == [("keys", 2), ("keys", 4), ("keys", 6), ("keys", 7)]

    @pytest.mark.parametrize(
        ("size", "seconds", "next_size"),
        [(2, 0.2, 1), (1, 9, 1), (1, 0.01, 2), (2, 0.01, 2), (2, 0.07, 2)],
    )
    def test_a_batch_is_as_large_as_is_quick(
        self, size: int, seconds: float, next_size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SECONDS_A_BATCH", 0.1)
        assert module._adapted(size, seconds) == next_size


class TestLogins:
    """Logins and what belongs to them."""

    def prune(self, now: datetime) -> Pruned:
        return prune(keys_older_than=180 * DAY, events_older_than=CENTURY, now=now)

    @pytest.fixture
    def login(self, make_user: Callable[..., Any]) -> LoginSession:
        return logged_in(make_user(), now=NOW).login

    def test_a_login_is_deleted_once_it_has_been_expired_for_so_long(
        self, login: LoginSession
    ) -> None:
        assert self.prune(NOW + 187 * DAY).logins == 0
        assert self.prune(NOW + 187 * DAY + MICROSECOND).logins == 1
        assert not LoginSession.objects.exists()

    def test_a_login_is_deleted_once_it_has_been_revoked_for_so_long(
        self, login: LoginSession
    ) -> None:
        revoke_login(login, now=NOW)
        assert self.prune(NOW + 180 * DAY).logins == 0
        assert self.prune(NOW + 180 * DAY + MICROSECOND).logins == 1

    def test_its_story_outlives_it(self, login: LoginSession) -> None:
        self.prune(NOW + 200 * DAY)
        event = AuditEvent.objects.get(action="login_started")
        assert event.login is None
        assert event.subject.startswith(f"pikku-cli ({login.preview}…)")

    def test_a_code_is_deleted_a_day_after_it_has_expired_and_its_login_is_not(
        self, login: LoginSession
    ) -> None:
        end = NOW + timedelta(minutes=10)
        assert self.prune(end + DAY).codes == 0
        assert self.prune(end + DAY + MICROSECOND).codes == 1
        assert LoginSession.objects.get().device_code is None

    def test_a_code_that_nobody_ever_asked_about_goes_too(self) -> None:
        start_login("pikku-cli", now=NOW)
        assert self.prune(NOW + 2 * DAY).codes == 1
        assert not DeviceCode.objects.exists()

    def test_codes_alone_are_not_worth_a_record(self) -> None:
        start_login("pikku-cli", now=NOW)
        self.prune(NOW + 2 * DAY)
        assert not AuditEvent.objects.exists()

    def test_counts_of_attempts_go_when_their_window_is_over(self) -> None:
        spend_attempt("somebody", WRONG_CODES, NOW)
        end = NOW + WRONG_CODES.period
        self.prune(end)
        assert Attempts.objects.exists()
        self.prune(end + MICROSECOND)
        assert not Attempts.objects.exists()
