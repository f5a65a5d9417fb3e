"""Tables that strangers fill stay small, without ``prune_auth`` and without locking anybody out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import DeviceFlowError, TooManyAttempts
from pikku_auth.flows import AuditContext, IssuedKey, issue_ticket, sweeping, verify_key
from pikku_auth.flows.device_flow import approve, claim, exchange, look_up, start_login
from pikku_auth.flows.logins import verify_login
from pikku_auth.flows.throttling import CLAIMS, spend_attempt
from pikku_auth.flows.tickets import LIFETIME, issue_session_ticket, redeem_ticket
from pikku_auth.models import Attempts, DeviceCode, SocketTicket
from tests.logins import CLIENT, approved, browser_of, logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

MakeUser = Callable[..., Any]
Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 3)
    for name in ("UNCLAIMED_CODES", "ATTEMPTS", "TICKETS", "TICKETS_OF_A_USER"):
        monkeypatch.setattr(sweeping, f"MOST_{name}", 5)


def start(number: int = 0, now: datetime = NOW) -> Any:
    return start_login(CLIENT, context=AuditContext(ip=f"192.0.2.{number}"), now=now)


def spend(number: int, now: datetime = NOW) -> None:
    spend_attempt(f"somebody:{number}", Rate(1, MINUTE), now)


class TestCodes:
    """``POST device/code`` is for anybody."""

    def test_codes_that_came_to_nothing_leave_in_small_batches(self) -> None:
        for number in range(5):
            start(number)
        for left in (3, 1):
            start(now=NOW + 21 * MINUTE)
            assert DeviceCode.objects.filter(created_at=NOW).count() == left - 1

    def test_device_is_told_for_a_while_that_its_code_has_expired(self) -> None:
        started = start()
        start(now=NOW + 19 * MINUTE)
        with pytest.raises(DeviceFlowError, match="expired"):
            exchange(started.device_code.digest, CLIENT, now=NOW + 19 * MINUTE)

    def test_redeemed_code_stays_a_day_to_notice_a_second_use(self, make_user: MakeUser) -> None:
        login = logged_in(make_user(), now=NOW).login
        start(now=NOW + DAY)
        assert DeviceCode.objects.filter(login=login).exists()
        start(now=NOW + DAY + 11 * MINUTE)
        assert not DeviceCode.objects.filter(login=login).exists()
        assert verify_login(login.digest, now=NOW + DAY + 11 * MINUTE)

    def test_beyond_the_bound_the_oldest_unclaimed_code_goes(self) -> None:
        first = start(now=NOW - MINUTE)
        for number in range(10):
            start(number)
        assert DeviceCode.objects.count() == 5
        assert not DeviceCode.objects.filter(device_digest=first.device_code.digest).exists()

    def test_flood_takes_no_code_that_a_human_has_claimed(self, make_user: MakeUser) -> None:
        ada = make_user()
        claimed, yes = started_and_claimed(ada, now=NOW), approved(ada, now=NOW)
        for number in range(20):
            start(number)
        assert row_of(claimed).user == ada
        assert exchange(yes.device_code.digest, CLIENT, now=NOW).login.user == ada

    def test_code_that_is_gone_has_expired_for_whoever_was_about_to_decide(
        self, make_user: MakeUser
    ) -> None:
        ada, started = make_user(), start()
        found = look_up(started.user_code.reveal(), user=ada, now=NOW)
        DeviceCode.objects.all().delete()
        for decide in (claim, approve):
            with pytest.raises(DeviceFlowError) as caught:
                decide(found, ada, now=NOW)
            assert caught.value.error == "expired_token"

    def test_human_claims_so_many_and_looks_again_as_often_as_they_like(
        self, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pikku_auth.flows.device_flow.approval.CLAIMS", Rate(2, CLAIMS.period))
        ada = make_user("ada")
        rows = [row_of(start(number)) for number in range(3)]
        for row in rows[:2] * 3:
            assert claim(row, ada, now=NOW)
        with pytest.raises(TooManyAttempts):
            claim(rows[2], ada, now=NOW)
        assert claim(rows[2], make_user("grace"), now=NOW)


class TestAttempts:
    """Each network that guesses or starts a login has a counter."""

    def test_counters_leave_when_their_window_is_over(self) -> None:
        for number in range(5):
            spend(number)
        spend(7, NOW + 2 * MINUTE)
        spend(8, NOW + 2 * MINUTE)
        assert Attempts.objects.count() == 2

    def test_beyond_the_bound_the_counter_that_ends_first_goes(self) -> None:
        spend(99, NOW - timedelta(seconds=30))
        for number in range(20):
            spend(number)
        assert Attempts.objects.count() == 5
        spend(99)  # is counted anew
        with pytest.raises(TooManyAttempts):
            spend(99)


class TestTickets:
    """``POST ws-ticket`` is for any key, login and signed-in human."""

    def ask(self, issued: IssuedKey, times: int, now: datetime = NOW) -> int:
        principal = verify_key(issued.secret.reveal())
        for given in range(times):
            try:
                issue_ticket(principal, now=now)
            except TooManyAttempts:
                return given
        return times

    def test_holder_gets_so_many_and_another_is_not_held_up(self, mint: Mint) -> None:
        one, other = mint(), mint()
        assert self.ask(one, 100) == 60
        assert self.ask(other, 1) == 1
        assert self.ask(one, 1, NOW + LIFETIME) == 1

    def test_tickets_leave_when_they_are_over(self, mint: Mint) -> None:
        issued = mint()
        self.ask(issued, 3)
        self.ask(issued, 1, NOW + 2 * LIFETIME)
        assert SocketTicket.objects.count() == 1

    def test_beyond_the_bound_the_oldest_unredeemed_one_goes(self, mint: Mint) -> None:
        principal = verify_key(mint().secret.reveal())
        first = issue_ticket(principal, now=NOW - timedelta(seconds=1))
        for _ in range(9):
            last = issue_ticket(principal, now=NOW)
        assert SocketTicket.objects.count() == 5
        assert not SocketTicket.objects.filter(digest=first.digest).exists()
        assert redeem_ticket(last.digest, now=NOW)

    def test_open_sockets_of_one_human_are_bounded_and_nobody_elses_close(
        self, make_user: MakeUser
    ) -> None:
        ada, grace = make_user("ada"), make_user("grace")
        of_grace = self.opened(grace, NOW - timedelta(seconds=1))
        for _ in range(9):
            self.opened(ada, NOW)
        assert SocketTicket.objects.filter(user=ada).count() == 5
        assert SocketTicket.objects.filter(digest=of_grace).exists()

    def opened(self, user: Any, now: datetime) -> str:
        ticket = issue_session_ticket(user, browser_of(user).session, now=now)
        SocketTicket.objects.update(session_expires_at=NOW + DAY)
        assert redeem_ticket(ticket.digest, now=now).user == user
        return ticket.digest


def test_database_that_is_locked_for_the_sweep_fails_no_login() -> None:
    def locked(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("DELETE"):
            raise OperationalError("database is locked")
        return execute(sql, *arguments)

    start()
    with connection.execute_wrapper(locked):
        assert start(now=NOW + DAY)
    assert DeviceCode.objects.count() == 2
