"""The human's half of device login: start, look up, claim, approve, deny."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pikku_auth.core.secrets import Secret
from pikku_auth.exceptions import DeviceFlowError, TooManyAttempts, Unavailable
from pikku_auth.flows import AuditContext, create_service_user
from pikku_auth.flows.device_flow import approve, claim, deny, exchange, look_up, start_login
from pikku_auth.flows.device_flow import authorize as module
from pikku_auth.flows.device_flow.authorize import StartedLogin
from pikku_auth.models import AuditEvent, DeviceCode
from tests.conftest import pikku_settings
from tests.logins import CLIENT, logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
END = NOW + timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)

MakeUser = Callable[..., Any]


@pytest.fixture
def started(db: None) -> StartedLogin:
    return start_login(CLIENT, now=NOW)


def wrong_code(started: StartedLogin) -> str:
    code = started.user_code.reveal()
    return ("B" if code[0] != "B" else "C") + code[1:]


def refusal(act: Callable[..., object], *args: Any, **options: Any) -> tuple[str, str, int]:
    with pytest.raises(DeviceFlowError) as caught:
        act(*args, **options)
    return caught.value.error, caught.value.description, caught.value.status


class TestStarting:
    """What the device is told, and what is kept of it."""

    def test_both_codes_live_ten_minutes_and_are_polled_every_five_seconds(
        self, started: StartedLogin
    ) -> None:
        assert (started.expires_in, started.interval) == (600, 5)
        row = row_of(started)
        assert (row.created_at, row.expires_at) == (NOW, END)
        assert (row.interval, row.announced_interval, row.last_polled_at) == (5, 5, None)

    def test_it_waits_for_anybody(self, started: StartedLogin) -> None:
        row = row_of(started)
        assert (row.status, row.user, row.scope) == ("pending", None, "")
        assert str(row) == "pikku-cli (pending)"

    def test_only_digests_are_kept(self, started: StartedLogin) -> None:
        row = row_of(started)
        assert row.device_digest == started.device_code.digest
        assert started.user_code.reveal() not in repr(vars(row))

    def test_the_digest_of_a_user_code_needs_the_secret_key(
        self, started: StartedLogin, settings: Any
    ) -> None:
        """34 bits are guessed in a minute by whoever has the table and the algorithm alone."""
        assert row_of(started).user_code_digest != started.user_code.digest
        settings.SECRET_KEY = "another-one-that-is-long-enough-to-sign-with"
        with pytest.raises(DeviceFlowError):
            look_up(started.user_code.reveal(), now=NOW)

    def test_neither_code_shows_in_a_repr(self, started: StartedLogin) -> None:
        assert started.device_code.reveal() not in repr(started)
        assert started.user_code.reveal() not in repr(started)

    def test_the_device_code_has_256_bits(self, started: StartedLogin) -> None:
        assert started.device_code.reveal().startswith("pkd_")
        assert len(started.device_code.reveal()) == len("pkd_") + 43 + 6

    def test_where_it_was_asked_for_is_kept_for_the_human_to_see(self) -> None:
        context = AuditContext(ip="2001:db8::7", user_agent="pikku\x1b[2J/1" + "x" * 300)
        row = row_of(start_login(CLIENT, "sandbox:read", context=context, now=NOW))
        assert (row.ip, row.scope) == ("2001:db8::7", "sandbox:read")
        assert row.user_agent == ("pikku[2J/1" + "x" * 300)[:200]

    @pytest.mark.parametrize(
        ("client_id", "error"),
        [
            ("", ("invalid_request", "client_id is required", 400)),
            (
                "c" * 192,
                (
                    "invalid_request",
                    "client_id has at most 191 characters of visible ASCII",
                    400,
                ),
            ),
        ],
    )
    def test_a_client_id_that_can_not_be_one(
        self, client_id: str, error: tuple[str, str, int]
    ) -> None:
        assert refusal(start_login, client_id) == error
        assert not DeviceCode.objects.exists()

    @pytest.mark.parametrize(
        "client_id",
        [
            "команда", "💻", "a\nb", "a\0b", "\ud800", "\x7f", " ", " a", "a ", "a  b", "\xa0",
            "pikku\u200b-cli", "\u202eilc-ukkip", "\u3164", "p\u0456kku-cli",
        ],
    )  # fmt: skip
    def test_client_id_that_could_pass_for_another_is_refused(self, client_id: str) -> None:
        assert refusal(start_login, client_id)[0] == "invalid_request"
        assert not DeviceCode.objects.exists()

    @pytest.mark.parametrize("client_id", ["c" * 191, "Ada's laptop", "~!", "<b>"])
    def test_any_other_client_id_is_taken(self, client_id: str) -> None:
        assert row_of(start_login(client_id)).client_id == client_id

    def test_the_host_may_say_which_clients_there_are(self) -> None:
        with pikku_settings(DEVICE_CLIENT_IDS=["theirs"]):
            assert refusal(start_login, "ours") == ("invalid_client", "Invalid client ID", 400)
            assert start_login("theirs")

    @pytest.mark.parametrize(
        "scope", ["a:b\0", "a:b\tc:d", "a\nb", 'say "a"', "a\\b", "caf\xe9", "\x7f", "\ud800"]
    )
    def test_scope_that_rfc_6749_does_not_allow_is_invalid(self, scope: str) -> None:
        assert refusal(start_login, CLIENT, scope)[0] == "invalid_scope"
        assert not DeviceCode.objects.exists()

    def test_a_scope_longer_than_its_column_is_invalid_and_no_crash(self) -> None:
        longest = "sandbox:read" + " " * (2_000 - len("sandbox:read"))
        assert row_of(start_login(CLIENT, longest)).scope == longest
        assert refusal(start_login, CLIENT, longest + " ") == (
            "invalid_scope",
            "scope has at most 2000 characters",
            400,
        )

    def test_an_address_starts_sixty_logins_in_ten_minutes(self) -> None:
        here, there = AuditContext(ip="192.0.2.1"), AuditContext(ip="192.0.2.2")
        for _ in range(60):
            start_login(CLIENT, context=here, now=NOW)
        with pytest.raises(TooManyAttempts) as caught:
            start_login(CLIENT, context=here, now=NOW)
        assert caught.value.retry_after == 600
        assert start_login(CLIENT, context=there, now=NOW)
        assert start_login(CLIENT, context=here, now=END)

    def test_codes_that_are_taken_are_made_anew(
        self, started: StartedLogin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = iter([started.user_code.reveal()] * 2 + ["BCDFGHJK"])
        monkeypatch.setattr(module, "generate_user_code", lambda: next(made))
        assert start_login(CLIENT).user_code.reveal() == "BCDFGHJK"

    def test_codes_that_are_always_taken_are_an_outage_and_no_crash(
        self, started: StartedLogin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = started.user_code.reveal()
        monkeypatch.setattr(module, "generate_user_code", lambda: taken)
        with pytest.raises(Unavailable):
            start_login(CLIENT)
        assert DeviceCode.objects.count() == 1

    def test_a_device_code_that_is_taken_is_made_anew(
        self, started: StartedLogin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fresh = Secret(module.generate("pkd").reveal())
        made = iter([started.device_code, fresh])
        monkeypatch.setattr(module, "generate", lambda prefix: next(made))
        assert start_login(CLIENT).device_code is fresh


class TestTheScopeParameter:
    """Space-delimited scope tokens of any form (RFC 6749, 3.3)."""

    @pytest.mark.parametrize("scope", ["", " ", "   "])
    def test_none_asks_for_all_that_the_human_may(self, scope: str) -> None:
        row = row_of(start_login(CLIENT, scope))
        assert (row.requested, row.foreign_scopes) == (None, [])

    @pytest.mark.parametrize(
        "scope",
        ["sandbox:write sandbox:read", " sandbox:write  sandbox:read sandbox:read "],
    )
    def test_some_restrict_the_login(self, scope: str) -> None:
        row = row_of(start_login(CLIENT, scope))
        assert (row.requested, row.foreign_scopes) == ({"sandbox": ["read", "write"]}, [])

    @pytest.mark.parametrize(
        "foreign",
        [
            "openid profile", "read write", "nonsense", "sandbox:fly", "user:email", "a,b",
            "https://www.example.com/auth/drive.readonly", "urn:x:y", "sandbox:read,write", "**",
            "sandbox:", ":read", "*:read", "<b>", "SANDBOX:READ", "!#[]~",
        ],
    )  # fmt: skip
    def test_tokens_that_are_no_scope_of_the_site_are_taken_and_ask_for_nothing(
        self, foreign: str
    ) -> None:
        row = row_of(start_login(CLIENT, foreign))
        assert (row.scope, row.requested, row.foreign_scopes) == (foreign, {}, foreign.split())
        row = row_of(start_login(CLIENT, f"{foreign} sandbox:read {foreign}"))
        assert (row.requested, row.foreign_scopes) == ({"sandbox": ["read"]}, foreign.split())

    def test_any_scope_of_the_grammar_is_one_of_a_site_without_a_vocabulary(self) -> None:
        row = row_of(start_login(CLIENT, "user:email openid"))
        with pikku_settings(SCOPES=None):
            assert (row.requested, row.foreign_scopes) == ({"user": ["email"]}, ["openid"])


class TestLookingUp:
    """Finding a login by what a person typed."""

    def test_a_code_is_found_however_it_was_typed(self, started: StartedLogin) -> None:
        code = started.user_code.reveal()
        for typed in (code, code.lower(), f"{code[:4]}-{code[4:]}", f" {code} "):
            assert look_up(typed, now=NOW) == row_of(started)

    @pytest.mark.parametrize("typed", ["", "BCDF-GHJK", "nonsense", "\0", "\ud800", "B" * 9_999])
    def test_a_wrong_one_is_not(self, started: StartedLogin, typed: str) -> None:
        error = ("invalid_request", "Invalid user code", 400)
        assert refusal(look_up, typed, now=NOW) == error

    def test_a_code_expires_to_the_microsecond(self, started: StartedLogin) -> None:
        code = started.user_code.reveal()
        assert look_up(code, now=END - MICROSECOND)
        error = ("expired_token", "User code has expired", 400)
        assert refusal(look_up, code, now=END) == error

    def test_a_code_that_was_decided_is_still_found(
        self, started: StartedLogin, make_user: MakeUser
    ) -> None:
        ada = make_user()
        claim(row_of(started), ada, now=NOW)
        deny(row_of(started), ada, now=NOW)
        assert look_up(started.user_code.reveal(), now=NOW).status == "denied"

    def test_looking_claims_nothing(self, started: StartedLogin, make_user: MakeUser) -> None:
        look_up(started.user_code.reveal(), user=make_user(), now=NOW)
        assert row_of(started).user is None


class TestGuessing:
    """RFC 8628, 5.1: five wrong codes in ten minutes, per human and per address."""

    def guess(self, started: StartedLogin, times: int, **who: Any) -> None:
        for _ in range(times):
            with pytest.raises(DeviceFlowError):
                look_up(wrong_code(started), now=NOW, **who)

    def test_the_sixth_guess_of_an_address_is_refused(self, started: StartedLogin) -> None:
        self.guess(started, 5, ip="192.0.2.1")
        with pytest.raises(TooManyAttempts):
            look_up(wrong_code(started), ip="192.0.2.1", now=NOW)
        assert look_up(started.user_code.reveal(), ip="192.0.2.2", now=NOW)

    def test_the_sixth_guess_of_a_human_is_refused_wherever_they_are(
        self, started: StartedLogin, make_user: MakeUser
    ) -> None:
        ada = make_user()
        for number in range(5):
            self.guess(started, 1, user=ada, ip=f"192.0.2.{number}")
        with pytest.raises(TooManyAttempts):
            look_up(wrong_code(started), user=ada, ip="192.0.2.9", now=NOW)

    def test_a_subscriber_has_one_count_for_all_of_their_ipv6_addresses(
        self, started: StartedLogin
    ) -> None:
        for number in range(5):
            self.guess(started, 1, ip=f"2001:db8::{number}")
        with pytest.raises(TooManyAttempts):
            look_up(wrong_code(started), ip="2001:db8::ffff", now=NOW)

    def test_the_right_code_is_refused_as_a_wrong_one_is(self, started: StartedLogin) -> None:
        """Or the refusal would tell which guess was right."""
        self.guess(started, 5)
        told = set()
        for typed in (wrong_code(started), started.user_code.reveal()):
            with pytest.raises(TooManyAttempts) as caught:
                look_up(typed, now=NOW)
            told.add((str(caught.value), caught.value.retry_after))
        assert len(told) == 1

    def test_right_codes_are_never_too_many(
        self, started: StartedLogin, make_user: MakeUser
    ) -> None:
        ada = make_user()
        for _ in range(20):
            assert look_up(started.user_code.reveal(), user=ada, ip="192.0.2.1", now=NOW)

    def test_an_expired_code_is_no_guess(self, started: StartedLogin) -> None:
        for _ in range(10):
            assert refusal(look_up, started.user_code.reveal(), now=END)[0] == "expired_token"

    def test_it_is_over_after_ten_minutes(self, started: StartedLogin) -> None:
        self.guess(started, 5)
        assert refusal(look_up, wrong_code(started), now=END)[0] == "invalid_request"


class TestClaiming:
    """The first human who looks a code up is the only one who may decide."""

    def test_the_first_human_owns_it(self, started: StartedLogin, make_user: MakeUser) -> None:
        ada, grace = make_user("ada"), make_user("grace")
        assert claim(row_of(started), ada, now=NOW)
        assert not claim(row_of(started), grace, now=NOW)
        assert claim(row_of(started), ada, now=NOW)
        assert row_of(started).user == ada

    def test_a_stale_row_makes_nobody_the_owner(
        self, started: StartedLogin, make_user: MakeUser
    ) -> None:
        ada, grace = make_user("ada"), make_user("grace")
        stale = row_of(started)
        claim(row_of(started), ada, now=NOW)
        assert not claim(stale, grace, now=NOW)
        assert stale.user == ada

    def test_what_is_decided_can_not_be_claimed(
        self, started: StartedLogin, make_user: MakeUser
    ) -> None:
        DeviceCode.objects.update(status="denied")
        assert not claim(row_of(started), make_user(), now=NOW)
        assert row_of(started).user is None

    def test_nor_what_has_expired(self, started: StartedLogin, make_user: MakeUser) -> None:
        ada = make_user()
        assert not claim(row_of(started), ada, now=END)
        assert claim(row_of(started), ada, now=END - MICROSECOND)


BOTH = pytest.mark.parametrize(
    ("verb", "status", "action", "word"),
    [
        (approve, "approved", "login_approved", "approve"),
        (deny, "denied", "login_denied", "deny"),
    ],
)


@BOTH
class TestDeciding:
    """Approve and deny, which differ in a word."""

    def test_the_owner_decides(
        self, make_user: MakeUser, verb: Any, status: str, action: str, word: str
    ) -> None:
        ada = make_user()
        started = started_and_claimed(ada, scope="sandbox:read", now=NOW)
        row = row_of(started)
        context = AuditContext(source="web", actor=ada, ip="192.0.2.9", user_agent="Firefox/150")
        verb(row, ada, context=context, now=NOW)
        assert row.status == row_of(started).status == status
        event = AuditEvent.objects.get()
        assert (event.action, event.at, event.actor) == (action, NOW, ada)
        assert (event.source, event.ip, event.user_agent) == ("web", "192.0.2.9", "Firefox/150")
        assert event.subject == f"pikku-cli of {ada.get_username()}"
        assert event.details == {"scope": "sandbox:read", "requested_from": "192.0.2.1"}

    def test_nobody_else_does(
        self, make_user: MakeUser, verb: Any, status: str, action: str, word: str
    ) -> None:
        started = started_and_claimed(make_user("ada"), now=NOW)
        assert refusal(verb, row_of(started), make_user("grace"), now=NOW) == (
            "access_denied",
            f"You are not authorized to {word} this device authorization",
            403,
        )
        assert row_of(started).status == "pending"

    def test_nobody_does_before_it_is_claimed(
        self,
        started: StartedLogin,
        make_user: MakeUser,
        verb: Any,
        status: str,
        action: str,
        word: str,
    ) -> None:
        error, description, http = refusal(verb, row_of(started), make_user(), now=NOW)
        assert (error, http) == ("invalid_request", 400)
        assert description.startswith("Device code has not been claimed by a verifying session")

    @pytest.mark.parametrize("before", [approve, deny])
    def test_it_is_decided_once(
        self, make_user: MakeUser, verb: Any, status: str, action: str, word: str, before: Any
    ) -> None:
        ada = make_user()
        started = started_and_claimed(ada, now=NOW)
        stale = row_of(started)
        before(row_of(started), ada, now=NOW)
        first = row_of(started).status
        error = ("invalid_request", "Device code already processed", 400)
        assert refusal(verb, stale, ada, now=NOW) == error
        assert row_of(started).status == first
        assert AuditEvent.objects.count() == 1

    def test_too_late_is_too_late_to_the_microsecond(
        self, make_user: MakeUser, verb: Any, status: str, action: str, word: str
    ) -> None:
        ada = make_user()
        started = started_and_claimed(ada, now=NOW)
        error = ("expired_token", "User code has expired", 400)
        assert refusal(verb, row_of(started), ada, now=END) == error
        assert row_of(started).status == "pending"
        verb(row_of(started), ada, now=END - MICROSECOND)
        assert row_of(started).status == status


def test_a_consumed_code_can_not_be_decided_again(make_user: MakeUser) -> None:
    ada = make_user()
    issued = logged_in(ada, now=NOW)
    row = issued.login.device_code
    for verb in (approve, deny):
        assert refusal(verb, row, ada, now=NOW)[1] == "Device code already processed"


@pytest.mark.parametrize("who", ["inactive", "machine"])
def test_only_an_active_human_can_approve(make_user: MakeUser, who: str) -> None:
    ada = make_user()
    started = started_and_claimed(ada, now=NOW)
    if who == "machine":
        create_service_user("robot", user=ada)
    else:
        ada.is_active = False
    error = ("access_denied", "This user may not approve logins", 403)
    assert refusal(approve, row_of(started), ada, now=NOW) == error
    assert row_of(started).status == "pending"


def test_a_claimer_who_is_deleted_takes_the_code_along(make_user: MakeUser) -> None:
    ada = make_user()
    started = started_and_claimed(ada, now=NOW)
    ada.delete()
    assert not DeviceCode.objects.exists()
    error = ("invalid_grant", "Invalid device code", 400)
    assert refusal(exchange, started.device_code.digest, CLIENT, now=NOW) == error
