"""The device's half of device login: polling, and the token, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import DeviceFlowError, InvalidToken
from pikku_auth.flows import AuditContext, create_service_user
from pikku_auth.flows.device_flow import IssuedLogin, deny, exchange, start_login
from pikku_auth.flows.device_flow.authorize import StartedLogin
from pikku_auth.flows.device_flow.token import device_code_digest
from pikku_auth.flows.logins import verify_login
from pikku_auth.models import AuditEvent, DeviceCode, LoginSession
from tests.conftest import pikku_settings
from tests.logins import CLIENT, approved, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
END = NOW + timedelta(minutes=10)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)

MakeUser = Callable[..., Any]


def poll(started: StartedLogin, after: timedelta, client_id: str = CLIENT) -> IssuedLogin:
    return exchange(started.device_code.digest, client_id, now=NOW + after)


def answer(started: StartedLogin, after: timedelta, client_id: str = CLIENT) -> str:
    """The error of a poll, or ``token``."""
    try:
        poll(started, after, client_id)
    except DeviceFlowError as error:
        return error.error
    return "token"


@pytest.fixture
def pending(db: None) -> StartedLogin:
    return start_login(CLIENT, now=NOW)


@pytest.fixture
def yes(make_user: MakeUser) -> StartedLogin:
    return approved(make_user(), now=NOW)


class TestTheToken:
    """What an approved code is good for."""

    def test_an_approved_code_gives_a_login_of_whoever_approved_it(
        self, make_user: MakeUser
    ) -> None:
        ada = make_user()
        started = approved(ada, now=NOW)
        context = AuditContext(source="web", ip="192.0.2.1", user_agent="pikku\n/1")
        issued = exchange(started.device_code.digest, CLIENT, context=context, now=NOW)
        login = LoginSession.objects.get()
        assert issued.login == login
        assert (login.user, login.device_code, login.client_id) == (ada, row_of(started), CLIENT)
        assert (login.ip, login.user_agent) == ("192.0.2.1", "pikku/1")
        assert (login.created_at, login.renewed_at, login.expires_at) == (
            NOW,
            NOW,
            NOW + timedelta(days=7),
        )
        assert (login.last_used_at, login.revoked_at, login.permissions) == (None, None, None)

    def test_only_its_digest_and_its_start_are_kept(self, yes: StartedLogin) -> None:
        issued = poll(yes, SECOND)
        token = issued.token.reveal()
        assert token.startswith("pks_")
        assert issued.login.digest == issued.token.digest
        assert issued.login.preview == token[:12]
        assert token not in f"{issued} {issued.login} {vars(issued.login)}"

    def test_it_works(self, yes: StartedLogin) -> None:
        issued = poll(yes, SECOND)
        assert verify_login(issued.token.digest, now=NOW + SECOND).login == issued.login

    def test_its_prefix_and_its_life_are_settings(self, yes: StartedLogin) -> None:
        with pikku_settings(PREFIXES={"login": "acme"}, LOGIN_LIFETIME=timedelta(hours=1)):
            issued = poll(yes, timedelta(0))
        assert issued.token.reveal().startswith("acme_")
        assert issued.login.expires_at == NOW + timedelta(hours=1)

    def test_scopes_asked_for_restrict_it(self, make_user: MakeUser) -> None:
        issued = poll(approved(make_user(), scope="sandbox:read", now=NOW), SECOND)
        assert issued.scope == "sandbox:read"
        assert issued.login.permissions == {"sandbox": ["read"]}
        assert issued.login.scopes == ["sandbox:read"]

    def test_without_scopes_it_has_all_that_its_human_is_given(self, yes: StartedLogin) -> None:
        issued = poll(yes, SECOND)
        assert (issued.scope, issued.login.permissions, issued.login.scopes) == ("*", None, ["*"])
        assert issued.login.requested_scopes == []

    def test_it_is_recorded(self, make_user: MakeUser) -> None:
        ada = make_user()
        issued = poll(approved(ada, scope="sandbox:read", now=NOW), SECOND)
        event = AuditEvent.objects.latest("pk")
        assert (event.action, event.login, event.at) == (
            "login_started",
            issued.login,
            NOW + SECOND,
        )
        assert event.subject == f"pikku-cli ({issued.token.preview}…) of {ada.get_username()}"
        assert event.details == {"scope": "sandbox:read"}

    def test_two_devices_have_two_logins(self, make_user: MakeUser) -> None:
        ada = make_user()
        first, second = (poll(approved(ada, now=NOW), SECOND) for _ in range(2))
        assert first.token.digest != second.token.digest
        assert LoginSession.objects.filter(user=ada).count() == 2


class TestWaiting:
    """Polls of a code that nobody has decided."""

    def test_the_first_poll_may_come_at_once(self, pending: StartedLogin) -> None:
        assert answer(pending, timedelta(0)) == "authorization_pending"

    def test_a_punctual_client_waits_as_long_as_it_takes(self, pending: StartedLogin) -> None:
        answers = {answer(pending, 5 * number * SECOND) for number in range(120)}
        assert answers == {"authorization_pending"}

    def test_a_second_is_forgiven_and_not_more(self, pending: StartedLogin) -> None:
        answer(pending, timedelta(0))
        assert answer(pending, 4 * SECOND) == "authorization_pending"
        assert answer(pending, 8 * SECOND - MICROSECOND) == "slow_down"

    def test_a_poll_too_early_raises_the_interval_for_good(self, pending: StartedLogin) -> None:
        answer(pending, timedelta(0))
        assert answer(pending, SECOND) == "slow_down"
        assert row_of(pending).interval == 10
        assert answer(pending, 5 * SECOND) == "slow_down"
        assert answer(pending, 9 * SECOND) == "authorization_pending"
        assert answer(pending, 15 * SECOND) == "slow_down"
        assert answer(pending, 18 * SECOND) == "authorization_pending"

    def test_by_one_step_at_most_so_that_nobody_is_starved(self, pending: StartedLogin) -> None:
        """A client that never listens polls every 5 s, and is answered every 10 s."""
        answers = [answer(pending, 5 * number * SECOND + SECOND) for number in range(1, 20)]
        answers.insert(0, answer(pending, 2 * SECOND))
        assert row_of(pending).interval == 10
        assert answers.count("authorization_pending") >= 10
        assert row_of(pending).announced_interval == 5

    def test_a_poll_too_early_does_not_put_the_next_one_off(self, pending: StartedLogin) -> None:
        answer(pending, timedelta(0))
        answer(pending, 3 * SECOND)
        assert row_of(pending).last_polled_at == NOW

    def test_a_poll_too_early_consumes_nothing(self, yes: StartedLogin) -> None:
        DeviceCode.objects.update(last_polled_at=NOW)
        assert answer(yes, SECOND) == "slow_down"
        assert row_of(yes).status == "approved"
        assert answer(yes, 9 * SECOND) == "token"

    def test_a_claimed_code_still_waits(self, make_user: MakeUser) -> None:
        assert answer(started_and_claimed(make_user(), now=NOW), SECOND) == "authorization_pending"


class TestTheEnd:
    """A code is over once, for whatever reason."""

    def test_denied_is_told_once(self, make_user: MakeUser) -> None:
        ada = make_user()
        started = started_and_claimed(ada, now=NOW)
        deny(row_of(started), ada, now=NOW)
        assert answer(started, SECOND) == "access_denied"
        assert row_of(started).status == "consumed"
        assert answer(started, 6 * SECOND) == "invalid_grant"
        assert not LoginSession.objects.exists()

    @pytest.mark.parametrize("status", ["pending", "approved", "denied"])
    def test_it_expires_to_the_microsecond_unless_it_was_redeemed(
        self, make_user: MakeUser, status: str
    ) -> None:
        started = approved(make_user(), now=NOW)
        DeviceCode.objects.update(status=status)
        assert answer(started, END - NOW) == "expired_token"
        assert not LoginSession.objects.exists()

    def test_it_is_good_until_then(self, yes: StartedLogin) -> None:
        assert answer(yes, END - NOW - MICROSECOND) == "token"

    def test_an_approved_code_is_good_once(self, yes: StartedLogin) -> None:
        assert answer(yes, SECOND) == "token"
        assert answer(yes, 6 * SECOND) == "invalid_grant"
        assert LoginSession.objects.count() == 1

    def test_a_code_redeemed_twice_ends_what_it_gave(self, yes: StartedLogin) -> None:
        issued = poll(yes, SECOND)
        assert answer(yes, 6 * SECOND) == "invalid_grant"
        with pytest.raises(InvalidToken):
            verify_login(issued.token.digest, now=NOW + 6 * SECOND)
        login = LoginSession.objects.get()
        assert login.revoke_reason == "device code replayed"
        event = AuditEvent.objects.latest("pk")
        assert (event.action, event.login) == ("login_revoked", login)

    @pytest.mark.parametrize("after", [timedelta(0), MICROSECOND, SECOND, 3 * SECOND])
    def test_replay_too_early_for_a_poll_ends_it_as_well(
        self, after: timedelta, yes: StartedLogin
    ) -> None:
        poll(yes, SECOND)
        assert answer(yes, SECOND + after) == "invalid_grant"
        assert LoginSession.objects.get().revoke_reason == "device code replayed"

    def test_a_replay_ends_it_even_when_the_code_has_expired(self, yes: StartedLogin) -> None:
        poll(yes, SECOND)
        assert answer(yes, END - NOW + SECOND) == "invalid_grant"
        assert LoginSession.objects.get().revoke_reason == "device code replayed"

    def test_a_replay_of_a_denied_code_has_nothing_to_end(self, make_user: MakeUser) -> None:
        started = approved(make_user(), now=NOW)
        DeviceCode.objects.update(status="consumed")
        assert answer(started, SECOND) == "invalid_grant"
        assert not AuditEvent.objects.filter(action="login_revoked").exists()

    @pytest.mark.parametrize(
        "change",
        [
            lambda user: user.set_password("another-horse"),
            lambda user: user.set_unusable_password(),
            lambda user: setattr(user, "is_active", False),
            lambda user: create_service_user("machine", user=user),
        ],
        ids=["password", "no password", "inactive", "service user"],
    )
    def test_approval_ends_as_a_login_would(
        self, change: Callable[[Any], object], make_user: MakeUser
    ) -> None:
        ada = make_user()
        started = approved(ada, now=NOW)
        change(ada)
        ada.save()
        assert answer(started, SECOND) == "access_denied"
        assert not LoginSession.objects.exists()

    def test_service_user_gets_no_login_where_passwords_have_no_hash(
        self, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in user models whose ``get_session_auth_hash`` knows no password."""
        monkeypatch.setattr(get_user_model(), "get_session_auth_hash", lambda self: "always")
        ada = make_user()
        started = approved(ada, now=NOW)
        create_service_user("machine", user=ada)
        assert answer(started, SECOND) == "access_denied"

    def test_deleted_user_gets_no_login(self, make_user: MakeUser) -> None:
        started = approved(make_user(), now=NOW)
        DeviceCode.objects.update(user=None)
        assert answer(started, SECOND) == "access_denied"

    def test_approval_outlives_a_secret_key_that_is_still_a_fallback(
        self, make_user: MakeUser, settings: Any
    ) -> None:
        started = approved(make_user(), now=NOW)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-one-that-is-long-enough-to-sign-with"
        assert answer(started, SECOND) == "token"

    def test_somebody_else_was_quicker_by_a_moment(
        self, yes: StartedLogin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at the row and the guarded UPDATE."""
        module = import_module("pikku_auth.flows.device_flow.token")

        def lost(code: DeviceCode, now: datetime) -> None:
            DeviceCode.objects.update(status="consumed")

        monkeypatch.setattr(module, "_note_poll", lost)
        assert answer(yes, SECOND) == "invalid_grant"
        assert not LoginSession.objects.exists()

    def test_scope_that_the_vocabulary_has_lost_since_is_not_granted(
        self, make_user: MakeUser
    ) -> None:
        started = approved(make_user(), scope="sandbox:read perm:a.b", now=NOW)
        with pikku_settings(SCOPES={"other": ["read"]}):
            assert poll(started, SECOND).scope == "perm:a.b"


class TestWhoseCode:
    """Unknown codes and other clients' codes."""

    def test_an_unknown_code_is_an_invalid_grant(self, db: None) -> None:
        for digest in (generate("pkd").digest, None):
            with pytest.raises(DeviceFlowError, match="Invalid device code") as caught:
                exchange(digest, CLIENT)
            assert caught.value.error == "invalid_grant"

    def test_another_client_gets_nothing_and_spoils_nothing(self, yes: StartedLogin) -> None:
        assert answer(yes, SECOND, "another") == "invalid_grant"
        assert row_of(yes).last_polled_at is None
        assert answer(yes, 2 * SECOND) == "token"

    def test_a_client_that_is_no_longer_allowed_is_refused(self, yes: StartedLogin) -> None:
        with pikku_settings(DEVICE_CLIENT_IDS=[]):
            assert answer(yes, SECOND) == "invalid_grant"
        assert answer(yes, SECOND) == "token"

    @pytest.mark.parametrize("text", ["", "pkd_", "nonsense", "pks_" + "0" * 49, "ключ", "\ud800"])
    def test_what_can_not_be_a_device_code_has_no_digest(self, text: str) -> None:
        assert device_code_digest(text) is None

    def test_a_device_code_has_one(self) -> None:
        code = generate("pkd")
        assert device_code_digest(code.reveal()) == code.digest

    def test_a_login_token_or_a_key_is_no_device_code(self, yes: StartedLogin) -> None:
        for prefix in ("pks", "pka"):
            assert device_code_digest(generate(prefix).reveal()) is None
