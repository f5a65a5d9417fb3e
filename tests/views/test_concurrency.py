"""Device login at once: real threads on a real database, through the verbs and over HTTP."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import DeviceFlowError, TooManyAttempts
from pikku_auth.flows import last_used, revoke_login
from pikku_auth.flows.device_flow import approve, claim, deny, exchange, look_up, start_login
from pikku_auth.flows.logins import verify_login
from pikku_auth.flows.throttling import spend_attempt
from pikku_auth.models import Attempts, AuditEvent, DeviceCode, LoginSession
from tests.flows.test_killed import kill_everywhere
from tests.logins import (
    CLIENT,
    approved,
    browser_of,
    logged_in,
    poll_body,
    post,
    row_of,
    started_and_claimed,
)
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

MakeUser = Callable[..., Any]


def all_at_once(acts: list[Callable[[], str]]) -> Counter[str]:
    """Run each act in a thread of its own, at once; count what they answer."""
    everyone = threading.Barrier(len(acts), timeout=PATIENCE)

    def run(act: Callable[[], str]) -> str:
        everyone.wait()
        try:
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return Counter(pool.map(run, acts))


def answer_of(act: Callable[[], object]) -> str:
    """``done``, or the error's code and words."""
    try:
        act()
    except DeviceFlowError as error:
        return f"{error.error}: {error.description}"
    except TooManyAttempts:
        return "too many"
    return "done"


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


@pytest.mark.parametrize("round_", range(3))
class TestPolling:
    """Sixteen pollers of one approved code: one token."""

    def test_by_the_verb(self, ada: Any, round_: int) -> None:
        started = approved(ada)
        digest = started.device_code.digest
        counted = all_at_once([lambda: answer_of(lambda: exchange(digest, CLIENT))] * 16)
        assert counted.pop("done") == 1
        assert set(counted) <= {
            "slow_down: Polling too frequently",
            "invalid_grant: Invalid device code",
        }
        assert LoginSession.objects.count() == 1
        assert row_of(started).status == "consumed"

    def test_by_the_verb_when_nobody_is_slowed_down(
        self, ada: Any, round_: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The throttle is no lock: without it there is still one token at most."""
        started = approved(ada)
        digest, now = started.device_code.digest, timezone.now()
        clock = iter(range(16))
        turn = threading.Lock()

        def poll() -> str:
            with turn:
                later = now + timedelta(seconds=20 * next(clock))
            return answer_of(lambda: exchange(digest, CLIENT, now=later))

        counted = all_at_once([poll] * 16)
        assert counted["done"] == 1
        assert LoginSession.objects.count() == 1
        assert AuditEvent.objects.filter(action="login_started").count() == 1

    def test_over_http(self, ada: Any, round_: int) -> None:
        started = approved(ada)

        def poll() -> str:
            body = post(Client(), "device/token", poll_body(started)).json()
            return str(body.get("error", "token"))

        counted = all_at_once([poll] * 16)
        assert counted.pop("token") == 1
        assert set(counted) <= {"slow_down", "invalid_grant"}
        assert LoginSession.objects.count() == 1


def test_a_code_replayed_by_many_at_once_ends_its_login_once(ada: Any) -> None:
    started = approved(ada)
    digest, now = started.device_code.digest, timezone.now()
    exchange(digest, CLIENT, now=now)
    later = now + timedelta(seconds=30)
    counted = all_at_once([lambda: answer_of(lambda: exchange(digest, CLIENT, now=later))] * 8)
    assert counted == {"invalid_grant: Invalid device code": 8}
    assert AuditEvent.objects.filter(action="login_revoked").count() == 1
    assert LoginSession.objects.get().revoked_at is not None


@pytest.mark.parametrize("round_", range(5))
class TestDeciding:
    """Approve and deny at once: one wins, and the other is told."""

    def test_by_the_verbs(self, ada: Any, round_: int) -> None:
        started = started_and_claimed(ada)

        def deciding(verb: Callable[..., None]) -> Callable[[], str]:
            return lambda: answer_of(lambda: verb(row_of(started), ada))

        counted = all_at_once([deciding(approve), deciding(deny)] * 4)
        assert counted == {"done": 1, "invalid_request: Device code already processed": 7}
        (event,) = AuditEvent.objects.all()
        assert event.action == f"login_{row_of(started).status}"

    def test_over_http(self, ada: Any, round_: int) -> None:
        started = started_and_claimed(ada)
        body = {"userCode": started.user_code.reveal()}

        def deciding(verb: str, browser: Client) -> Callable[[], str]:
            return lambda: f"{post(browser, f'device/{verb}', body).status_code} {verb}"

        acts = [deciding(verb, browser_of(ada)) for verb in ("approve", "deny")]
        counted = all_at_once(acts)
        status = row_of(started).status
        winner, loser = ("approve", "deny") if status == "approved" else ("deny", "approve")
        assert counted == {f"200 {winner}": 1, f"400 {loser}": 1}


@pytest.mark.parametrize("round_", range(5))
class TestClaiming:
    """Two humans at once: one owns it."""

    def test_by_the_verb(self, make_user: MakeUser, round_: int) -> None:
        started = start_login(CLIENT)
        people = [make_user(f"person-{number}") for number in range(6)]

        def claiming(person: Any) -> Callable[[], str]:
            return lambda: f"{person.pk if claim(row_of(started), person) else None}"

        counted = all_at_once([claiming(person) for person in people])
        assert counted == {str(row_of(started).user_id): 1, "None": 5}

    def test_over_http(self, make_user: MakeUser, round_: int) -> None:
        started = start_login(CLIENT)
        query = {"user_code": started.user_code.reveal()}

        def claiming(browser: Client) -> Callable[[], str]:
            return lambda: str("client_id" in browser.get("/auth/device", query).json())

        browsers = [browser_of(make_user(f"person-{number}")) for number in range(2)]
        counted = all_at_once([claiming(browser) for browser in browsers])
        assert counted == {"True": 1, "False": 1}


class TestGuessing:
    """Twenty-four guesses at once: five are heard."""

    def test_by_the_verb(self, ada: Any) -> None:
        counted = all_at_once([lambda: answer_of(lambda: look_up("BCDFGHJK", user=ada))] * 24)
        assert counted == {"invalid_request: Invalid user code": 5, "too many": 19}

    def test_over_http(self) -> None:
        def guess() -> str:
            return str(Client().get("/auth/device?user_code=BCDFGHJK").status_code)

        assert all_at_once([guess] * 24) == {"400": 5, "429": 19}

    def test_at_the_turn_of_the_window(self) -> None:
        rate, now = Rate(5, timedelta(minutes=10)), timezone.now()
        for _ in range(5):
            spend_attempt("somebody", rate, now)
        later = now + rate.period
        counted = all_at_once(
            [lambda: answer_of(lambda: spend_attempt("somebody", rate, later))] * 24
        )
        assert counted == {"done": 5, "too many": 19}
        assert Attempts.objects.get().count == 5


def test_codes_asked_for_at_once_are_all_different() -> None:
    def start() -> str:
        return start_login(CLIENT).user_code.reveal()

    assert len(all_at_once([start] * 16)) == 16
    assert DeviceCode.objects.count() == 16


def test_a_login_revoked_by_many_at_once_is_revoked_once(ada: Any) -> None:
    login = logged_in(ada).login
    counted = all_at_once([lambda: str(revoke_login(login))] * 16)
    assert counted == {"True": 1, "False": 15}
    assert AuditEvent.objects.filter(action="login_revoked").count() == 1


@pytest.mark.parametrize("round_", range(5))
def test_a_renewal_at_the_moment_of_revoking_revives_nothing(ada: Any, round_: int) -> None:
    issued = logged_in(ada, now=timezone.now() - timedelta(days=3))
    verify_login(issued.token.digest)

    def flush() -> str:
        last_used.flush()
        return "flushed"

    all_at_once([flush, lambda: str(revoke_login(issued.login))])
    assert LoginSession.objects.get().revoked_at is not None


class TestKilled:
    """A process killed at any statement."""

    def test_in_an_exchange_leaves_one_token_at_most(self, ada: Any) -> None:
        started = approved(ada)
        digest = started.device_code.digest

        def nothing_or_everything() -> None:
            logins, status = LoginSession.objects.count(), row_of(started).status
            assert (logins, status) == (0, "approved")
            assert not AuditEvent.objects.filter(action="login_started").exists()
            DeviceCode.objects.update(last_polled_at=None)

        statements = kill_everywhere(lambda: exchange(digest, CLIENT), nothing_or_everything)
        assert statements >= 5
        assert (LoginSession.objects.count(), row_of(started).status) == (1, "consumed")

    @pytest.mark.parametrize("status", ["pending", "denied", "consumed"])
    def test_in_a_poll_of_what_is_not_approved_leaves_none(self, ada: Any, status: str) -> None:
        started = approved(ada)
        DeviceCode.objects.update(status=status)
        digest = started.device_code.digest

        def none() -> None:
            assert not LoginSession.objects.exists()
            DeviceCode.objects.update(last_polled_at=None, status=status)

        kill_everywhere(lambda: answer_of(lambda: exchange(digest, CLIENT)), none)
        assert not LoginSession.objects.exists()

    def test_in_a_decision_leaves_it_undecided(self, ada: Any) -> None:
        started = started_and_claimed(ada)
        row = row_of(started)

        def undecided() -> None:
            assert row_of(started).status == "pending"
            assert not AuditEvent.objects.exists()

        kill_everywhere(lambda: approve(row, ada), undecided)
        assert row_of(started).status == "approved"

    def test_in_revoking_leaves_the_login_as_it_was(self, ada: Any) -> None:
        issued = logged_in(ada)

        def alive() -> None:
            assert verify_login(issued.token.digest)

        kill_everywhere(lambda: revoke_login(issued.login), alive)
        assert LoginSession.objects.get().revoked_at is not None


def test_an_unknown_code_asked_by_many_is_unknown_to_all() -> None:
    digest = generate("pkd").digest
    counted = all_at_once([lambda: answer_of(lambda: exchange(digest, CLIENT))] * 8)
    assert counted == {"invalid_grant: Invalid device code": 8}
