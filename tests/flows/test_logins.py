"""Login sessions: who is let in, how long, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher
from django.contrib.auth.models import Permission
from django.core.signals import request_finished
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import DeviceFlowError, InvalidInput, InvalidToken
from pikku_auth.flows import (
    AuditContext,
    create_service_user,
    last_used,
    live_logins,
    revoke_login,
    revoke_logins,
)
from pikku_auth.flows.device_flow import IssuedLogin, deny, exchange
from pikku_auth.flows.logins import token_digest, verify_login
from pikku_auth.models import AuditEvent, DeviceCode, LoginSession
from pikku_auth.principal import Principal
from tests.conftest import pikku_settings
from tests.logins import CLIENT, approved, browser_of, logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
MICROSECOND = timedelta(microseconds=1)
PERM = "auth.view_group"

MakeUser = Callable[..., Any]


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


@pytest.fixture
def issued(ada: Any) -> IssuedLogin:
    return logged_in(ada, now=NOW)


def verify(issued: IssuedLogin, at: datetime = NOW) -> Principal:
    return verify_login(issued.token.digest, now=at)


def reason(issued: IssuedLogin, at: datetime = NOW) -> str:
    with pytest.raises(InvalidToken) as refusal:
        verify(issued, at)
    assert str(refusal.value) == "Invalid or expired login."
    return refusal.value.reason


def row(issued: IssuedLogin) -> LoginSession:
    return LoginSession.objects.get(pk=issued.login.pk)


class TestVerifying:
    """A token, and whom it stands for."""

    def test_a_live_login_is_its_human(self, ada: Any, issued: IssuedLogin) -> None:
        principal = verify(issued)
        assert (principal.user, principal.via, principal.login) == (ada, "login", issued.login)
        assert (principal.key, principal.service_user, principal.metadata) == (None, None, {})
        assert principal.expires_at == NOW + WEEK

    def test_it_costs_one_select_and_no_write(self, issued: IssuedLogin) -> None:
        with CaptureQueriesContext(connection) as queries:
            verify(issued)
        assert [query["sql"].split(" ")[0] for query in queries] == ["SELECT"]

    def test_what_can_not_be_a_token_costs_nothing(self) -> None:
        for text in ("", "nonsense", generate("pka").reveal(), "pks_" + "0" * 49):
            with CaptureQueriesContext(connection) as queries, pytest.raises(InvalidToken):
                verify_login(token_digest(text))
            assert not queries.captured_queries

    def test_an_unknown_token_is_refused(self) -> None:
        with pytest.raises(InvalidToken) as refusal:
            verify_login(generate("pks").digest)
        assert refusal.value.reason == "unknown"

    def test_a_refusal_is_announced_with_its_reason(self, issued: IssuedLogin) -> None:
        heard: list[tuple[Any, ...]] = []

        def hear(login: Any, reason: str, ip: str | None, **_: Any) -> None:
            heard.append((login, reason, ip))

        signals.login_refused.connect(hear)
        revoke_login(issued.login)
        for digest in (issued.token.digest, generate("pks").digest):
            with pytest.raises(InvalidToken):
                verify_login(digest, ip="192.0.2.1")
        signals.login_refused.disconnect(hear)
        assert heard == [(issued.login, "revoked", "192.0.2.1"), (None, "unknown", "192.0.2.1")]

    def test_a_known_login_that_knocks_dead_is_a_warning(
        self, issued: IssuedLogin, caplog: pytest.LogCaptureFixture
    ) -> None:
        revoke_login(issued.login)
        reason(issued)
        with pytest.raises(InvalidToken):
            verify_login(generate("pks").digest)
        levels = [entry.levelname for entry in caplog.records if entry.name == "pikku_auth"]
        assert levels == ["WARNING", "INFO"]

    def test_an_outage_is_no_refusal(self, issued: IssuedLogin) -> None:
        from django.db import OperationalError

        from pikku_auth.exceptions import Unavailable

        def outage(*_args: object) -> None:
            raise OperationalError("connection refused")

        with connection.execute_wrapper(outage), pytest.raises(Unavailable):
            verify(issued)


class TestWhatEndsIt:
    """A login dies with any of these, from the next request on."""

    def test_revoking(self, issued: IssuedLogin) -> None:
        revoke_login(issued.login)
        assert reason(issued) == "revoked"

    def test_time_to_the_microsecond(self, issued: IssuedLogin) -> None:
        assert verify(issued, NOW + WEEK - MICROSECOND)
        assert reason(issued, NOW + WEEK) == "expired"

    def test_deactivating_the_human_while_it_lasts(self, ada: Any, issued: IssuedLogin) -> None:
        ada.is_active = False
        ada.save()
        assert reason(issued) == "owner_inactive"
        ada.is_active = True
        ada.save()
        assert verify(issued)

    def test_deleting_the_human(self, ada: Any, issued: IssuedLogin) -> None:
        ada.delete()
        assert reason(issued) == "unknown"
        assert not LoginSession.objects.exists()

    @pytest.mark.parametrize("password", ["another-horse", "correct-horse", None])
    def test_setting_a_password_even_the_same_one(
        self, ada: Any, issued: IssuedLogin, password: str | None
    ) -> None:
        ada.set_password(password)
        ada.save()
        assert reason(issued) == "password_changed"

    def test_rehashing_it_at_sign_in_as_that_ends_djangos_own_sessions(
        self, ada: Any, settings: Any
    ) -> None:
        current, older = MD5PasswordHasher, PBKDF2PasswordHasher
        settings.PASSWORD_HASHERS = [f"{one.__module__}.{one.__name__}" for one in (current, older)]
        ada.password = older().encode("correct-horse", "salt", iterations=1)
        ada.save()
        issued, browser = logged_in(ada), browser_of(ada)
        request: Any = HttpRequest()
        request.session = browser.session
        assert get_user(request) == ada
        assert authenticate(username=ada.get_username(), password="correct-horse") == ada
        assert not get_user(request).is_authenticated
        assert reason(issued) == "password_changed"

    def test_becoming_a_machine(self, ada: Any, issued: IssuedLogin) -> None:
        create_service_user("builder", user=ada)
        assert reason(issued) == "password_changed"

    def test_a_new_secret_key(self, issued: IssuedLogin, settings: Any) -> None:
        settings.SECRET_KEY = "another-one-that-is-long-enough-to-sign-with"
        assert reason(issued) == "password_changed"

    def test_a_new_secret_key_with_the_old_one_as_fallback_ends_nothing(
        self, ada: Any, issued: IssuedLogin, settings: Any
    ) -> None:
        settings.SECRET_KEY_FALLBACKS = ["older-still-and-long-enough-too", settings.SECRET_KEY]
        settings.SECRET_KEY = "another-one-that-is-long-enough-to-sign-with"
        assert verify(issued)
        ada.set_password("another-horse")
        ada.save()
        assert reason(issued) == "password_changed"


class TestRevoking:
    """Ending logins, for good."""

    def test_once_and_for_all(self, issued: IssuedLogin) -> None:
        assert revoke_login(issued.login, reason="stolen", now=NOW)
        assert not revoke_login(issued.login, reason="again", now=NOW + DAY)
        assert (row(issued).revoked_at, row(issued).revoke_reason) == (NOW, "stolen")

    def test_it_is_recorded_once(self, ada: Any, issued: IssuedLogin) -> None:
        context = AuditContext(source="admin", actor=ada, ip="192.0.2.1")
        for _ in range(2):
            revoke_login(issued.login, reason="stolen", context=context, now=NOW)
        event = AuditEvent.objects.get(action="login_revoked")
        assert (event.login, event.actor, event.source) == (issued.login, ada, "admin")
        assert event.details == {"reason": "stolen"}

    @pytest.mark.parametrize("text", ["x" * 201, "a\nb", "\x1b[31m"])
    def test_a_reason_is_short_and_printable(self, issued: IssuedLogin, text: str) -> None:
        with pytest.raises(InvalidInput):
            revoke_login(issued.login, reason=text)
        assert row(issued).revoked_at is None

    def test_all_of_a_human(self, make_user: MakeUser, ada: Any) -> None:
        mine = [logged_in(ada, now=NOW) for _ in range(3)]
        theirs = logged_in(make_user("grace"), now=NOW)
        assert revoke_logins(ada, reason="lost laptop", now=NOW) == 3
        assert revoke_logins(ada, now=NOW) == 0
        assert {reason(login) for login in mine} == {"revoked"}
        assert {row(login).revoke_reason for login in mine} == {"lost laptop"}
        assert verify(theirs)

    def test_all_but_one(self, ada: Any) -> None:
        kept, ended = (logged_in(ada, now=NOW) for _ in range(2))
        assert revoke_logins(ada, besides=kept.login, now=NOW) == 1
        assert verify(kept)
        assert reason(ended) == "revoked"

    def test_the_live_ones_are_listed_with_the_newest_first(self, ada: Any) -> None:
        first, second, revoked = (logged_in(ada, now=NOW) for _ in range(3))
        logged_in(ada, now=NOW - WEEK)
        revoke_login(revoked.login, now=NOW)
        assert live_logins(ada, now=NOW) == [second.login, first.login]

    def test_a_login_that_died_with_a_password_is_not_listed(
        self, ada: Any, issued: IssuedLogin
    ) -> None:
        ada.set_password("another-horse")
        ada.save()
        assert live_logins(ada, now=NOW) == []

    def test_one_that_is_refused_for_now_ends_too(self, ada: Any, issued: IssuedLogin) -> None:
        ada.is_active = False
        ada.save()
        assert revoke_logins(ada, now=NOW) == 1
        ada.is_active = True
        ada.save()
        assert reason(issued) == "revoked"

    def test_one_of_another_password_ends_too(self, ada: Any, issued: IssuedLogin) -> None:
        before = ada.password
        ada.set_password("another-horse")
        ada.save()
        assert revoke_logins(ada, now=NOW) == 1
        ada.password = before
        ada.save()
        assert reason(issued) == "revoked"

    def test_one_that_has_expired_is_left_as_it_was(self, ada: Any, issued: IssuedLogin) -> None:
        assert revoke_logins(ada, now=NOW + WEEK) == 0
        assert row(issued).revoked_at is None


class TestRenewal:
    """The end of a login that is in use moves on."""

    def use(self, issued: IssuedLogin, at: datetime) -> LoginSession:
        verify(issued, at)
        last_used.flush()
        return row(issued)

    def test_within_a_day_it_does_not_move(self, issued: IssuedLogin) -> None:
        assert self.use(issued, NOW + DAY - MICROSECOND).expires_at == NOW + WEEK

    def test_after_a_day_it_is_a_week_from_then(self, issued: IssuedLogin) -> None:
        renewed = self.use(issued, NOW + DAY)
        assert renewed.expires_at == NOW + DAY + WEEK
        assert renewed.renewed_at == NOW + DAY
        assert renewed.created_at == NOW

    def test_login_in_daily_use_ends_after_ninety_days(self, issued: IssuedLogin) -> None:
        end = NOW + 90 * DAY
        for day in range(1, 90):
            self.use(issued, NOW + day * DAY)
        assert row(issued).expires_at == row(issued).max_expires_at == end
        assert verify(issued, end - timedelta(microseconds=1))
        assert reason(issued, end) == "expired"
        assert not live_logins(issued.login.user, now=end)

    def test_login_in_daily_use_never_ends_where_the_host_says_so(
        self, issued: IssuedLogin
    ) -> None:
        with pikku_settings(LOGIN_MAX_LIFETIME=None):
            for day in range(1, 100):
                self.use(issued, NOW + day * DAY)
            assert verify(issued, NOW + 100 * DAY)
            assert row(issued).max_expires_at is None
            assert live_logins(issued.login.user, now=NOW + 100 * DAY)

    def test_shorter_longest_life_ends_older_logins_at_once(self, issued: IssuedLogin) -> None:
        with pikku_settings(LOGIN_MAX_LIFETIME=2 * DAY):
            assert verify(issued, NOW + DAY)
            assert reason(issued, NOW + 2 * DAY) == "expired"
            assert not live_logins(issued.login.user, now=NOW + 2 * DAY)

    def test_new_login_lives_no_longer_than_the_longest_life(self, make_user: MakeUser) -> None:
        with pikku_settings(LOGIN_MAX_LIFETIME=DAY):
            assert logged_in(make_user("grace"), now=NOW).login.expires_at == NOW + DAY

    @pytest.mark.parametrize(
        ("lifetime", "renewal"),
        [
            (WEEK, DAY),
            (timedelta(minutes=14), timedelta(minutes=2)),
            (timedelta(minutes=5), timedelta(minutes=1)),
            (timedelta(minutes=1), timedelta(seconds=30)),
        ],
    )
    def test_renewal_comes_once_in_a_seventh_of_the_life(
        self, lifetime: timedelta, renewal: timedelta
    ) -> None:
        with pikku_settings(LOGIN_LIFETIME=lifetime):
            assert conf.login_renewal == renewal

    def test_a_login_left_alone_for_a_week_does(self, issued: IssuedLogin) -> None:
        self.use(issued, NOW + DAY)
        assert reason(issued, NOW + DAY + WEEK) == "expired"

    def test_how_often_and_how_long_are_settings(self, issued: IssuedLogin) -> None:
        hour = timedelta(hours=1)
        with pikku_settings(LOGIN_LIFETIME=7 * hour):
            assert self.use(issued, NOW + hour).expires_at == NOW + 8 * hour

    def test_it_never_moves_past_revoking(self, issued: IssuedLogin) -> None:
        verify(issued, NOW + 2 * DAY)
        revoke_login(issued.login, now=NOW + 2 * DAY)
        last_used.flush()
        assert row(issued).expires_at == NOW + WEEK
        assert row(issued).revoked_at == NOW + 2 * DAY

    def test_nor_past_its_end(self, issued: IssuedLogin) -> None:
        last_used.note_renewal(issued.login, NOW + WEEK)
        last_used.flush()
        assert row(issued).expires_at == NOW + WEEK

    def test_nor_backwards(self, issued: IssuedLogin) -> None:
        self.use(issued, NOW + 2 * DAY)
        last_used.note_renewal(issued.login, NOW + DAY)
        last_used.flush()
        assert row(issued).expires_at == NOW + 2 * DAY + WEEK

    def test_when_it_was_last_used_is_kept_to_the_minute(self, issued: IssuedLogin) -> None:
        minute = timedelta(minutes=1)
        assert self.use(issued, NOW).last_used_at == NOW
        assert self.use(issued, NOW + minute - MICROSECOND).last_used_at == NOW
        assert self.use(issued, NOW + minute).last_used_at == NOW + minute


@pytest.mark.django_db(transaction=True)
class TestWriting:
    """What was noted is written outside of transactions."""

    def test_outside_a_transaction_it_writes(self, issued: IssuedLogin) -> None:
        verify(issued, NOW + DAY)
        last_used.flush_outside_transaction()
        assert row(issued).expires_at == NOW + DAY + WEEK

    def test_inside_one_it_waits(self, issued: IssuedLogin) -> None:
        verify(issued, NOW + DAY)
        with transaction.atomic():
            last_used.flush_outside_transaction()
        assert row(issued).expires_at == NOW + WEEK

    def test_with_nothing_noted_it_asks_nothing(self, issued: IssuedLogin) -> None:
        with CaptureQueriesContext(connection) as queries:
            last_used.flush_outside_transaction()
        assert not queries.captured_queries

    def test_it_waits_for_the_end_of_the_request(self, issued: IssuedLogin) -> None:
        verify(issued, NOW + DAY)
        assert row(issued).expires_at == NOW + WEEK
        request_finished.send(sender=None)
        assert row(issued).expires_at == NOW + DAY + WEEK

    def test_a_database_that_refuses_is_a_warning_and_no_error(
        self, issued: IssuedLogin, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(*_args: object) -> None:
            raise DatabaseError("read-only")

        verify(issued, NOW + DAY)
        with connection.execute_wrapper(refuse):
            last_used.flush()
        assert "was not written: read-only" in caplog.text
        assert row(issued).expires_at == NOW + WEEK


class TestScopes:
    """Scopes asked for at login restrict it, in our terms and in Django's."""

    @pytest.fixture
    def granted(self, ada: Any) -> None:
        ada.user_permissions.set(Permission.objects.filter(codename="view_group"))

    def login(self, ada: Any, scope: str) -> Principal:
        with pikku_settings(SCOPES=None):
            issued = logged_in(ada, scope=scope, now=NOW)
        return verify(issued)

    def test_without_any_everything_is_allowed(self, ada: Any) -> None:
        principal = self.login(ada, "")
        assert principal.has_scope("sandbox:write", "any:thing")
        assert principal.scopes == ["*"]

    def test_with_some_nothing_else_is(self, ada: Any) -> None:
        principal = self.login(ada, "sandbox:read")
        assert principal.has_scope("sandbox:read")
        assert not principal.has_scope("sandbox:write")
        assert principal.scopes == ["sandbox:read"]

    @pytest.mark.parametrize(
        ("scope", "expected"),
        [("", True), (f"perm:{PERM}", True), ("perm:*", True), ("*", True), ("a:b", False)],
    )
    def test_a_right_of_the_human_needs_the_scope(
        self, ada: Any, granted: None, scope: str, expected: bool
    ) -> None:
        user = self.login(ada, scope).user
        assert user.has_perm(PERM) is expected
        assert user.has_module_perms("auth") is expected

    @pytest.mark.parametrize("scope", ["", f"perm:{PERM}", "*"])
    def test_a_scope_gives_no_right_that_the_human_lacks(self, ada: Any, scope: str) -> None:
        assert not self.login(ada, scope).user.has_perm(PERM)

    @pytest.mark.parametrize(
        ("scope", "expected"),
        [("", True), (f"perm:{PERM}", True), ("perm:*", True), ("*", True), ("a:b", False)],
    )
    def test_a_superuser_is_bounded_too(self, ada: Any, scope: str, expected: bool) -> None:
        ada.is_superuser = True
        ada.save()
        user = self.login(ada, scope).user
        assert user.has_perm(PERM) is expected
        assert user.has_perms([PERM]) is expected
        assert user.has_module_perms("auth") is expected

    @pytest.mark.parametrize(("scope", "expected"), [(f"perm:{PERM}", True), ("a:b", False)])
    def test_a_superuser_is_bounded_in_async_code_too(
        self, ada: Any, scope: str, expected: bool
    ) -> None:
        ada.is_superuser = True
        ada.save()
        user = self.login(ada, scope).user

        async def ask() -> set[bool]:
            return {
                await user.ahas_perm(PERM),
                await user.ahas_perm(PERM, obj=user),
                await user.ahas_perms([PERM]),
                await user.ahas_module_perms("auth"),
            }

        assert asyncio.run(ask()) == {expected}

    def test_the_next_request_of_the_superuser_is_bound_anew(self, ada: Any) -> None:
        ada.is_superuser = True
        ada.save()
        self.login(ada, "a:b")
        assert self.login(ada, "").user.has_perm(PERM)


def test_it_reads_as_its_client_and_its_start(issued: IssuedLogin) -> None:
    assert str(issued.login) == f"pikku-cli ({issued.token.preview}…)"


def test_announcements_come_after_the_commit_and_have_no_secret(
    ada: Any, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    def listener(name: str) -> Callable[..., None]:
        def hear(signal: Any, **payload: Any) -> None:
            heard.append((name, payload))

        return hear

    names = ["login_approved", "login_started", "login_revoked"]
    listeners = {name: listener(name) for name in names}
    for name, hear in listeners.items():
        getattr(signals, name).connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        issued = logged_in(ada, now=NOW)
        revoke_login(issued.login, reason="stolen", now=NOW)
        assert heard == []
    for name, hear in listeners.items():
        getattr(signals, name).disconnect(hear)
    assert [name for name, _ in heard] == names
    approved, started, revoked = (payload for _, payload in heard)
    assert (approved["user"], approved["device_code"].status) == (ada, "approved")
    assert started["login"] == revoked["login"] == issued.login
    assert revoked["reason"] == "stolen"
    values = [value for _, payload in heard for value in payload.values()]
    values += [vars(value) for value in values if hasattr(value, "__dict__")]
    assert issued.token.reveal() not in repr(values)


@pytest.mark.parametrize("status", ["pending", "approved"])
def test_revoking_logins_ends_those_that_were_about_to_come(ada: Any, status: str) -> None:
    started = approved(ada, now=NOW)
    DeviceCode.objects.update(status=status)
    revoke_logins(ada, now=NOW)
    with pytest.raises(DeviceFlowError, match="Access denied"):
        exchange(started.device_code.digest, CLIENT, now=NOW)


def test_what_was_about_to_come_is_denied_and_recorded(ada: Any) -> None:
    approved(ada)
    started_and_claimed(ada)
    staff = AuditContext("command", actor_name="root")
    assert revoke_logins(ada, context=staff) == 0
    assert set(DeviceCode.objects.values_list("status", flat=True)) == {"denied"}
    events = AuditEvent.objects.filter(action="login_denied")
    assert [(event.source, event.actor_name) for event in events] == [("command", "root")] * 2


@pytest.mark.django_db(transaction=True)
def test_one_that_is_decided_meanwhile_is_left_alone(ada: Any) -> None:
    waiting = [row_of(started_and_claimed(ada)) for _ in range(2)]

    def decide_the_other(device_code: DeviceCode, **_: Any) -> None:
        for row in waiting:
            if row != device_code:
                with suppress(DeviceFlowError):
                    deny(row, ada)

    signals.login_denied.connect(decide_the_other)
    revoke_logins(ada)
    signals.login_denied.disconnect(decide_the_other)
    assert AuditEvent.objects.filter(action="login_denied").count() == 2
