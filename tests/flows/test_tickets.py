"""One-time tickets: good once, within seconds, and never for more than what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedStore
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.exceptions import (
    InvalidKey,
    InvalidTicket,
    InvalidToken,
    NetworkNotAllowed,
    Refused,
    Unavailable,
)
from pikku_auth.flows import (
    IssuedKey,
    arevalidate,
    authenticate,
    deactivate_service_user,
    disable_key,
    issue_session_ticket,
    issue_ticket,
    prune,
    revalidate,
    revoke_key,
    revoke_login,
)
from pikku_auth.flows.logins import verify_login
from pikku_auth.flows.tickets import (
    LIFETIME,
    end_session_tickets,
    end_tickets_of_left_session,
    redeem_ticket,
    ticket_digest,
)
from pikku_auth.models import APIKey, SocketTicket
from pikku_auth.principal import Principal
from tests.conftest import pikku_settings
from tests.flows.test_concurrency import outcomes
from tests.logins import bearer, browser_of, logged_in

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
CENTURY = timedelta(days=36_500)

Mint = Callable[..., IssuedKey]
MakeUser = Callable[..., Any]

pytestmark = pytest.mark.django_db


def redeem(ticket: Secret, at: datetime | None = None, ip: str | None = None) -> Principal:
    return redeem_ticket(ticket_digest(ticket.reveal()), ip=ip, now=at)


def with_key(issued: IssuedKey) -> HttpRequest:
    return RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal()})


def who(request: HttpRequest) -> Principal:
    principal = authenticate(request)
    assert principal is not None
    return principal


def signed_in(user: Any, *, seconds: int = 10**9) -> SessionStore:
    session = SessionStore()
    session.set_expiry(seconds)
    session.create()
    return session


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


class TestOfAKey:
    """A ticket that was asked for with a key."""

    @pytest.fixture
    def issued(self, mint: Mint) -> IssuedKey:
        return mint(scopes=["sandbox:read"], networks=["127.0.0.0/8"])

    @pytest.fixture
    def ticket(self, issued: IssuedKey) -> Secret:
        return issue_ticket(who(with_key(issued)))

    def test_stands_for_the_key(self, issued: IssuedKey, ticket: Secret) -> None:
        principal = redeem(ticket, ip="127.0.0.1")
        assert (principal.via, principal.key) == ("api_key", issued.key)
        assert principal.scopes == ["sandbox:read"]
        assert principal.expires_at == issued.key.expires_at

    def test_bounds_its_user_like_the_key(self, issued: IssuedKey, ticket: Secret) -> None:
        assert not redeem(ticket, ip="127.0.0.1").user.has_perm("auth.view_group")

    @pytest.mark.parametrize(
        "end",
        [
            revoke_key,
            disable_key,
            lambda key: deactivate_service_user(key.service_user),
            lambda key: APIKey.objects.filter(pk=key.pk).update(expires_at=key.created_at),
        ],
        ids=["revoked", "disabled", "service user stopped", "expired"],
    )
    def test_is_as_dead_as_the_key(self, issued: IssuedKey, ticket: Secret, end: Any) -> None:
        end(issued.key)
        with pytest.raises(InvalidKey):
            redeem(ticket, ip="127.0.0.1")

    def test_is_bound_to_the_keys_networks(self, ticket: Secret) -> None:
        with pytest.raises(NetworkNotAllowed):
            redeem(ticket, ip="192.0.2.1")

    def test_is_used_up_by_a_refusal(self, ticket: Secret) -> None:
        with pytest.raises(NetworkNotAllowed):
            redeem(ticket, ip="192.0.2.1")
        with pytest.raises(InvalidTicket):
            redeem(ticket, ip="127.0.0.1")

    def test_is_gone_with_the_key(self, issued: IssuedKey, ticket: Secret) -> None:
        APIKey.objects.all().delete()
        with pytest.raises(InvalidTicket):
            redeem(ticket, ip="127.0.0.1")


def test_a_call_is_counted_when_the_ticket_is_issued_and_not_again(mint: Mint) -> None:
    issued = mint(quota=1, rate=parse_rate("1/d"))
    assert redeem(issue_ticket(who(with_key(issued)))).key == issued.key
    key = APIKey.objects.get()
    assert (key.remaining, key.window_calls) == (0, 1)


class TestOfALogin:
    """A ticket that was asked for with a login."""

    def test_stands_for_the_login(self, ada: Any) -> None:
        issued = logged_in(ada, scope="sandbox:read")
        ticket = issue_ticket(verify_login(issued.token.digest))
        principal = redeem(ticket)
        assert (principal.via, principal.login) == ("login", issued.login)
        assert principal.scopes == ["sandbox:read"]

    def test_is_as_dead_as_the_login(self, ada: Any) -> None:
        issued = logged_in(ada)
        ticket = issue_ticket(verify_login(issued.token.digest))
        revoke_login(issued.login)
        with pytest.raises(InvalidToken):
            redeem(ticket)


class TestOfABrowsersSession:
    """A ticket that was asked for by a page, for the human who is signed in to the site."""

    def test_stands_for_the_human(self, ada: Any) -> None:
        session = signed_in(ada)
        principal = redeem(issue_session_ticket(ada, session))
        assert (principal.via, principal.user) == ("session", ada)
        assert (principal.key, principal.login) == (None, None)
        assert principal.scopes == ["*"]

    def test_ends_with_the_session(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada, seconds=10), now=NOW)
        end = SocketTicket.objects.get().session_expires_at
        assert end is not None
        SocketTicket.objects.update(redeem_by=end + DAY)
        with pytest.raises(InvalidTicket):
            redeem(ticket, at=end)

    def test_says_when_the_session_expires(self, ada: Any) -> None:
        principal = redeem(issue_session_ticket(ada, signed_in(ada)))
        assert principal.expires_at == SocketTicket.objects.get().session_expires_at

    def test_ends_when_the_session_was_stored_to_end(self, ada: Any) -> None:
        """However long sessions last by the settings, and however late it was asked for."""
        session = signed_in(ada)
        end = timezone.now() + timedelta(hours=1)
        Session.objects.update(expire_date=end)
        issue_session_ticket(ada, SessionStore(session.session_key))
        assert SocketTicket.objects.get().session_expires_at == end

    @pytest.mark.parametrize(
        "store", [CacheStore, SignedStore, SessionStore], ids=["cached", "signed", "not saved"]
    )
    def test_ends_after_an_hour_where_nothing_is_stored(self, store: Any, ada: Any) -> None:
        issue_session_ticket(ada, store(), now=NOW)
        assert SocketTicket.objects.get().session_expires_at == NOW + timedelta(hours=1)

    def test_ends_before_that_if_the_session_is_shorter(self, ada: Any) -> None:
        session = CacheStore()
        session.set_expiry(60)
        issue_session_ticket(ada, session, now=NOW)
        assert SocketTicket.objects.get().session_expires_at == NOW + timedelta(minutes=1)

    def test_is_refused_after_signing_in_as_somebody_else(
        self, ada: Any, make_user: MakeUser
    ) -> None:
        """Django flushes the session, and tells nobody that ada has signed out."""
        browser = browser_of(ada)
        ticket = issue_session_ticket(ada, browser.session)
        of_other = issue_session_ticket(ada, signed_in(ada))
        grace = make_user("grace")
        grace.set_password("correct-horse")
        grace.save()
        answer = browser.post(
            "/accounts/login/", {"username": grace.get_username(), "password": "correct-horse"}
        )
        assert answer.status_code == 302
        with pytest.raises(InvalidTicket):
            redeem(ticket)
        assert redeem(of_other).user == ada

    def test_stays_when_the_same_human_signs_in_again(self, ada: Any) -> None:
        session = signed_in(ada)
        ticket = issue_session_ticket(ada, session)
        end_tickets_of_left_session(request=request_of(session, session.session_key))
        assert redeem(ticket).user == ada

    @pytest.mark.parametrize("cookie", [None, ""])
    def test_stays_when_a_browser_without_a_session_signs_in(self, cookie: Any, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada))
        end_tickets_of_left_session(request=request_of(SessionStore(), cookie))
        assert redeem(ticket).user == ada

    def test_stays_when_somebody_signs_in_without_a_browser(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada))
        end_tickets_of_left_session(request=None)
        assert redeem(ticket).user == ada

    def test_is_refused_after_a_change_of_password_that_keeps_the_browser_signed_in(
        self, ada: Any
    ) -> None:
        """The session has another key then."""
        session = signed_in(ada)
        ticket = issue_session_ticket(ada, session)
        request: Any = RequestFactory().post("/")
        request.user, request.session = ada, session
        ada.set_password("another")
        ada.save()
        update_session_auth_hash(request, ada)
        with pytest.raises(InvalidTicket):
            redeem(ticket)

    def test_is_refused_after_signing_out(self, ada: Any) -> None:
        mine, other = signed_in(ada), signed_in(ada)
        ticket, of_other = issue_session_ticket(ada, mine), issue_session_ticket(ada, other)
        sign_out(ada, mine)
        with pytest.raises(InvalidTicket):
            redeem(ticket)
        assert redeem(of_other).user == ada

    def test_is_refused_after_a_change_of_password(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada))
        ada.set_password("another")
        ada.save()
        with pytest.raises(InvalidTicket):
            redeem(ticket)

    def test_is_refused_once_the_human_is_deactivated(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada))
        ada.is_active = False
        ada.save()
        with pytest.raises(InvalidTicket):
            redeem(ticket)


def request_of(session: Any, cookie: str | None) -> Any:
    """The request of a browser with that cookie, which now has that session."""
    request: Any = RequestFactory().post("/")
    request.session = session
    if cookie is not None:
        request.COOKIES["sessionid"] = cookie
    return request


def sign_out(user: Any, session: Any) -> None:
    request: Any = RequestFactory().post("/")
    request.user, request.session = user, session
    logout(request)


@pytest.mark.parametrize("session", [None, SessionStore()], ids=["no session", "an empty one"])
def test_signing_out_without_a_session_ends_nothing(ada: Any, session: Any) -> None:
    ticket = issue_session_ticket(ada, signed_in(ada))
    request: Any = RequestFactory().post("/")
    request.user = AnonymousUser()
    if session is not None:
        request.session = session
    end_session_tickets(request=request)
    assert redeem(ticket).user == ada


class TestOnce:
    """However often it is presented, and however late."""

    def test_it_opens_one_connection(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada))
        redeem(ticket)
        with pytest.raises(InvalidTicket):
            redeem(ticket)

    def test_it_is_good_until_thirty_seconds_have_passed(self, ada: Any) -> None:
        assert timedelta(seconds=30) == LIFETIME
        early = issue_session_ticket(ada, signed_in(ada), now=NOW)
        late = issue_session_ticket(ada, signed_in(ada), now=NOW)
        assert redeem(early, at=NOW + LIFETIME - MICROSECOND).user == ada
        with pytest.raises(InvalidTicket):
            redeem(late, at=NOW + LIFETIME)

    @pytest.mark.parametrize(
        "text", ["", "nonsense", generate("pka").reveal(), "pkt_" + "0" * 49], ids=len
    )
    def test_what_is_no_ticket_asks_no_database(self, text: str) -> None:
        with CaptureQueriesContext(connection) as asked, pytest.raises(InvalidTicket):
            redeem_ticket(ticket_digest(text))
        assert len(asked) == 0

    def test_an_unknown_one_is_refused_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        digest = ticket_digest(generate("pkt").reveal())
        with pytest.raises(InvalidTicket):
            redeem_ticket(digest, ip="192.0.2.1")
        assert "unknown, used or too old" in caplog.text
        assert "192.0.2.1" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_who_present_it_at_once_one_gets_in(make_user: MakeUser) -> None:
    ada = make_user("ada")
    ticket = issue_session_ticket(ada, signed_in(ada))
    assert outcomes(lambda: redeem(ticket), times=16) == {"Principal": 1, "InvalidTicket": 15}


def test_every_ticket_has_exactly_one_holder(mint: Mint, ada: Any) -> None:
    key = mint().key
    for number, holders in enumerate([{}, {"key": key, "user": ada}]):
        with pytest.raises(IntegrityError), transaction.atomic():
            SocketTicket.objects.create(
                digest=str(number), created_at=NOW, redeem_by=NOW, **holders
            )


def test_a_ticket_names_its_holder_and_not_itself(ada: Any) -> None:
    secret = issue_session_ticket(ada, signed_in(ada), now=NOW)
    ticket = SocketTicket.objects.get()
    assert str(ticket) == f"{ada}, 2026-12-01 12:00:00"
    assert ticket.digest == secret.digest


def test_a_ticket_is_read_where_it_is_written(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never from a replica, which may not know yet that it is used."""
    ticket = issue_session_ticket(ada, signed_in(ada))

    class ReadsElsewhere:
        def db_for_read(self, model: Any, **_: object) -> str:
            raise AssertionError("a replica was asked")

    with override_settings(DATABASE_ROUTERS=[ReadsElsewhere()]):
        assert redeem(ticket).user == ada


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_no_refusal(ada: Any) -> None:
    ticket = issue_session_ticket(ada, signed_in(ada))

    def down(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections["default"], "cursor", down)
        with pytest.raises(Unavailable):
            redeem(ticket)
    assert redeem(ticket).user == ada


class TestPruning:
    """Tickets go when they are over, unless a socket may still be open by them."""

    def remaining_after(self, now: datetime) -> int:
        prune(keys_older_than=CENTURY, events_older_than=CENTURY, now=now)
        return SocketTicket.objects.count()

    def test_a_keys_ticket_goes(self, mint: Mint) -> None:
        SocketTicket.objects.create(
            digest="x", key=mint().key, created_at=NOW, redeem_by=NOW + LIFETIME
        )
        assert self.remaining_after(NOW + LIFETIME) == 1
        assert self.remaining_after(NOW + LIFETIME + MICROSECOND) == 0

    def test_a_sessions_ticket_stays_as_long_as_the_session(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada), now=NOW)
        redeem_ticket(ticket.digest, now=NOW)
        SocketTicket.objects.update(session_expires_at=NOW + 7 * DAY)
        assert self.remaining_after(NOW + 7 * DAY) == 1
        assert self.remaining_after(NOW + 7 * DAY + MICROSECOND) == 0


class TestLookingAgain:
    """``revalidate``: is the caller of an open connection still good?"""

    def test_a_key_is_judged_by_its_row_of_now(self, mint: Mint) -> None:
        issued = mint(quota=1)
        request = with_key(issued)
        principal = who(request)
        assert revalidate(principal, request).key == issued.key  # though its quota is used up
        revoke_key(issued.key)
        with pytest.raises(InvalidKey):
            revalidate(principal, request)

    def test_a_key_that_is_gone_is_refused(self, mint: Mint) -> None:
        request = with_key(mint())
        principal = who(request)
        APIKey.objects.all().delete()
        with pytest.raises(InvalidKey):
            revalidate(principal, request)

    def test_nothing_is_counted(self, mint: Mint) -> None:
        request = with_key(mint(quota=5))
        revalidate(who(request), request)
        assert APIKey.objects.get().remaining == 4

    def test_a_login_is_judged_by_its_row_of_now(self, ada: Any) -> None:
        issued = logged_in(ada)
        request = RequestFactory().get("/", headers=bearer(issued))
        principal = who(request)
        assert revalidate(principal, request).login == issued.login
        revoke_login(issued.login)
        with pytest.raises(InvalidToken):
            revalidate(principal, request)

    def test_a_browsers_session_is_judged_by_what_is_known_of_it_now(self, ada: Any) -> None:
        session, request = signed_in(ada), RequestFactory().get("/")
        principal = redeem(issue_session_ticket(ada, session))
        assert revalidate(principal, request).user == ada
        sign_out(ada, session)
        with pytest.raises(InvalidTicket):
            revalidate(principal, request)

    def test_a_ticket_that_is_gone_is_refused(self, ada: Any) -> None:
        principal = redeem(issue_session_ticket(ada, signed_in(ada)))
        SocketTicket.objects.all().delete()
        with pytest.raises(InvalidTicket):
            revalidate(principal, RequestFactory().get("/"))

    def test_who_came_with_nothing_can_not_be_looked_at_again(self, ada: Any) -> None:
        nobody = Principal(user=ada, via="session", permissions={})
        with pytest.raises(ValueError, match="a key, a login or a ticket"):
            revalidate(nobody, RequestFactory().get("/"))

    def test_a_key_is_held_against_its_networks_again(self, mint: Mint) -> None:
        issued = mint(networks=["127.0.0.0/8"])
        request = with_key(issued)
        assert revalidate(who(request), request).key == issued.key
        request.META["REMOTE_ADDR"] = "192.0.2.1"
        with pytest.raises(NetworkNotAllowed):
            revalidate(who(with_key(issued)), request)

    def test_it_is_the_same_without_blocking_an_event_loop(self, mint: Mint) -> None:
        issued = mint()
        request = with_key(issued)
        principal = who(request)
        with pikku_settings(MAP_KEY="tests.mappings.anote"):
            assert async_to_sync(arevalidate)(principal, request).claims["credential"]
        revoke_key(issued.key)
        with pytest.raises(InvalidKey):
            async_to_sync(arevalidate)(principal, request)

    def test_the_mapping_is_asked_again(self, mint: Mint, ada: Any) -> None:
        request = with_key(mint())
        principal = who(request)
        by_ticket = redeem(issue_session_ticket(ada, signed_in(ada)))
        reject = "tests.mappings.reject"
        with pikku_settings(MAP_KEY=reject, MAP_LOGIN=reject):
            for caller in (principal, by_ticket):
                with pytest.raises(Refused):
                    revalidate(caller, request)
