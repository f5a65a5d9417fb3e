"""A login may do what was asked for and what ``LOGIN_SCOPES`` gives its human now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest
from django.test import RequestFactory, override_settings
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated as NotAuthenticatedOfDrf

from pikku_auth import signals
from pikku_auth.conf import DEFAULTS
from pikku_auth.core.permissions import scope_strings
from pikku_auth.exceptions import (
    DeviceFlowError,
    InvalidToken,
    MappingFailed,
    NothingGranted,
    Refused,
    WidenedPermissions,
)
from pikku_auth.flows import aauthenticate, authenticate, issue_session_ticket, revalidate
from pikku_auth.flows.device_flow import IssuedLogin, approve, deny, exchange
from pikku_auth.flows.login_scopes import default_login_scopes, offer_to
from pikku_auth.flows.logins import verify_login
from pikku_auth.flows.tickets import redeem_ticket
from pikku_auth.models import AuditEvent, DeviceCode, LoginSession
from pikku_auth.principal import Principal
from tests import login_scopes
from tests.conftest import pikku_settings
from tests.flows.test_tickets import signed_in
from tests.logins import CLIENT, approved, bearer, logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db(transaction=True)

MakeUser = Callable[..., Any]
Resolve = Callable[[HttpRequest], Principal | None]

ways = pytest.mark.parametrize(
    "ask", [authenticate, async_to_sync(aauthenticate)], ids=["sync", "async"]
)
kinds = pytest.mark.parametrize("kind", ["", "a"], ids=["sync-function", "async-function"])


def function(name: str, kind: str = "") -> Any:
    return pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{kind}{name}")


def request_of(issued: IssuedLogin) -> HttpRequest:
    return RequestFactory().get("/", headers=bearer(issued))


def scopes_of(issued: IssuedLogin, ask: Resolve = authenticate) -> list[str]:
    principal = ask(request_of(issued))
    assert principal
    return principal.scopes


def join(user: Any) -> Group:
    group, _ = Group.objects.get_or_create(name=login_scopes.GROUP)
    user.groups.add(group)
    return group


class TestTheDefault:
    """A scope of the application is nobody's, save a superuser's."""

    @pytest.fixture(autouse=True)
    def _unset(self) -> Any:
        others = dict(settings.PIKKU_AUTH)
        del others["LOGIN_SCOPES"]
        with override_settings(PIKKU_AUTH=others):
            yield

    @pytest.mark.parametrize(
        ("is_superuser", "asked", "granted"),
        [
            (False, "", ["perm:*"]),
            (False, "perm:auth.view_group sandbox:read", ["perm:auth.view_group"]),
            (False, "*", ["perm:*"]),
            (True, "", ["*"]),
            (True, "sandbox:read", ["sandbox:read"]),
        ],
    )
    def test_gives_django_permissions_and_everything_to_superusers(
        self, is_superuser: bool, asked: str, granted: list[str], make_user: MakeUser
    ) -> None:
        user = make_user(is_superuser=is_superuser)
        assert scopes_of(logged_in(user, scope=asked)) == granted

    def test_costs_no_query(
        self, make_user: MakeUser, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        issued = logged_in(make_user())
        with django_assert_num_queries(1):
            verify_login(issued.token.digest)

    def test_leaves_django_permissions_as_they_are(self, make_user: MakeUser) -> None:
        user = make_user()
        user.user_permissions.add(Permission.objects.get(codename="view_group"))
        principal = authenticate(request_of(logged_in(user)))
        assert principal
        assert principal.user.has_perm("auth.view_group")
        assert not principal.user.has_perm("auth.delete_group")


@pytest.mark.parametrize(
    ("asked", "given", "granted"),
    [
        ("", ["sandbox:read", "user:*"], ["sandbox:read", "user:*"]),
        ("sandbox:read", ["sandbox:*"], ["sandbox:read"]),
        ("sandbox:*", ["sandbox:read"], ["sandbox:read"]),
        ("*", {"sandbox": ["read"]}, ["sandbox:read"]),
        ("sandbox:read", ["*"], ["sandbox:read"]),
        ("sandbox:read sandbox:write", ("sandbox:write", "user:read"), ["sandbox:write"]),
        ("perm:auth.view_group", ["perm:*"], ["perm:auth.view_group"]),
    ],
)
def test_login_gets_what_was_asked_for_and_is_given(
    asked: str, given: Any, granted: list[str], make_user: MakeUser
) -> None:
    user = make_user()
    with pikku_settings(SCOPES=None, LOGIN_SCOPES=given):
        issued = logged_in(user, scope=asked)
        assert issued.scope == " ".join(granted)
        assert issued.login.requested_scopes == asked.split()
        assert scopes_of(issued) == granted


@pytest.mark.parametrize("given", [["*"], ["perm:*"], ["sandbox:read"], []])
def test_login_that_asks_for_no_scope_of_the_site_only_tells_who_its_user_is(
    given: list[str], make_user: MakeUser
) -> None:
    user = make_user(is_superuser=True)
    with pikku_settings(LOGIN_SCOPES=given):
        issued = logged_in(user, scope="openid profile")
        principal = authenticate(request_of(issued))
        assert principal
        assert (principal.user, principal.scopes, issued.scope) == (user, [], "")
        assert not principal.user.has_perm("auth.view_group")
        assert principal.is_scoped


def test_tokens_that_are_no_scope_of_the_site_are_not_in_what_is_granted(
    make_user: MakeUser,
) -> None:
    issued = logged_in(make_user(), scope="openid sandbox:read user:email")
    assert (issued.scope, scopes_of(issued)) == ("sandbox:read", ["sandbox:read"])


def test_user_who_may_not_log_in_gets_no_login_without_scopes_either(make_user: MakeUser) -> None:
    user = make_user()
    row = row_of(started_and_claimed(user, scope="openid"))
    with function("nobody"), pytest.raises(NothingGranted):
        approve(row, user)


@ways
@kinds
class TestAFunction:
    """Sync or async, asked by a sync or an async integration."""

    def test_is_asked_with_each_request(self, ask: Resolve, kind: str, make_user: MakeUser) -> None:
        user = make_user()
        group = join(user)
        with function("by_group", kind):
            issued = logged_in(user)
            assert scopes_of(issued, ask) == ["sandbox:read", "sandbox:write"]
            user.groups.remove(group)
            assert scopes_of(issued, ask) == ["sandbox:read"]
            user.groups.add(group)
            assert scopes_of(issued, ask) == ["sandbox:read", "sandbox:write"]

    def test_sees_permissions_that_no_credential_bounds(
        self, ask: Resolve, kind: str, make_user: MakeUser
    ) -> None:
        for user in (make_user("root", is_superuser=True), make_user("ada")):
            user.user_permissions.add(Permission.objects.get(codename="view_group"))
            with function("by_permission", kind):
                issued = logged_in(user, scope="sandbox:read")
                assert scopes_of(issued, ask) == ["sandbox:read"]
                principal = ask(request_of(issued))
                assert principal
                assert not principal.user.has_perm("auth.view_group")

    def test_may_refuse_a_human_any_login(
        self, ask: Resolve, kind: str, make_user: MakeUser, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[Any] = []

        def hear(login: LoginSession, reason: str, **_: Any) -> None:
            heard.append((login, reason))

        issued = logged_in(make_user())
        signals.login_refused.connect(hear)
        with (
            function("nobody", kind),
            pytest.raises(InvalidToken, match=r"^Invalid or expired login\.$"),
        ):
            ask(request_of(issued))
        signals.login_refused.disconnect(hear)
        assert heard == [(issued.login, "login_not_allowed")]
        assert "Login refused: login_not_allowed" in caplog.text

    def test_that_fails_grants_nothing(self, ask: Resolve, kind: str, make_user: MakeUser) -> None:
        issued = logged_in(make_user())
        with function("fail", kind), pytest.raises(login_scopes.Broken):
            ask(request_of(issued))

    @pytest.mark.parametrize(
        "error",
        [Http404, PermissionDenied, SuspiciousOperation, InvalidToken, NotAuthenticatedOfDrf],
    )
    def test_raises_nothing_that_is_taken_for_an_answer(
        self,
        ask: Resolve,
        kind: str,
        error: type[Exception],
        make_user: MakeUser,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(login_scopes, "Broken", error)
        issued = logged_in(make_user())
        with function("fail", kind), pytest.raises(MappingFailed, match="return None") as told:
            ask(request_of(issued))
        assert isinstance(told.value.__cause__, error)


def test_function_may_be_an_object(make_user: MakeUser) -> None:
    with function("asked_when_called"):
        assert scopes_of(logged_in(make_user())) == ["sandbox:read"]


@pytest.mark.parametrize("given", ["sandbox:read", ["sandbox"], {"sandbox": "read"}, 7, True])
def test_what_is_no_grant_is_an_error_that_says_so(
    given: Any, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = logged_in(make_user())
    monkeypatch.setattr(login_scopes, "nobody", lambda _user: given)
    with function("nobody"), pytest.raises(ImproperlyConfigured, match=r"LOGIN_SCOPES.* grant"):
        authenticate(request_of(issued))


def test_setting_that_is_none_lets_nobody_in(make_user: MakeUser) -> None:
    issued = logged_in(make_user())
    with pikku_settings(LOGIN_SCOPES=None), pytest.raises(ImproperlyConfigured):
        authenticate(request_of(issued))


def test_login_that_is_refused_is_not_used(make_user: MakeUser) -> None:
    from pikku_auth.flows import last_used

    issued = logged_in(make_user())
    with function("nobody"), pytest.raises(InvalidToken):
        verify_login(issued.token.digest)
    last_used.flush()
    assert LoginSession.objects.get().last_used_at is None


class TestManagingKeys:
    """Scopes such as ``auth:mint`` are granted to who names them, and may do it in Django."""

    EVERY = "auth:introspect auth:introspect_logins auth:mint auth:read auth:revoke auth:rotate"

    def user_with(self, make_user: MakeUser, *codenames: str, **fields: Any) -> Any:
        user = make_user(**fields)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
        return user

    @pytest.mark.parametrize(
        ("codenames", "granted"),
        [
            ([], []),
            (["mint_apikey"], ["auth:mint", "auth:rotate"]),
            (["revoke_apikey"], ["auth:revoke"]),
            (["view_apikey"], ["auth:read"]),
            (["change_apikey", "add_apikey"], []),
        ],
    )
    @pytest.mark.parametrize("asked", [EVERY, "auth:*"])
    def test_are_cut_to_what_their_human_may_do(
        self, asked: str, codenames: list[str], granted: list[str], make_user: MakeUser
    ) -> None:
        user = self.user_with(make_user, *codenames)
        with pikku_settings(LOGIN_SCOPES=["sandbox:read", "auth:*"]):
            assert scopes_of(logged_in(user, scope=f"{asked} sandbox:read")) == [
                *granted,
                "sandbox:read",
            ]

    def test_of_machines_are_granted_to_no_human(self, make_user: MakeUser) -> None:
        user = make_user(is_superuser=True)
        with pikku_settings(LOGIN_SCOPES=["auth:*"]):
            issued = logged_in(user, scope=self.EVERY)
            offer = offer_to(user, {"auth": self.EVERY.replace("auth:", "").split()})
        assert issued.scope == "auth:mint auth:read auth:revoke auth:rotate"
        assert offer.missing == ["auth:introspect", "auth:introspect_logins"]

    @pytest.mark.parametrize("asked", ["", "*", "sandbox:read", "perm:*"])
    @pytest.mark.parametrize("given", [["*", "perm:*", "auth:*"], DEFAULTS["LOGIN_SCOPES"]])
    def test_are_not_granted_unless_named(
        self, given: Any, asked: str, make_user: MakeUser
    ) -> None:
        user = make_user(is_superuser=True)
        with pikku_settings(LOGIN_SCOPES=given):
            principal = authenticate(request_of(logged_in(user, scope=asked)))
        assert principal
        assert "auth" not in principal.permissions

    @pytest.mark.parametrize(
        ("given", "granted"),
        [(["*"], []), (["*", "auth:read"], ["auth:read"]), (["auth:mint"], ["auth:mint"])],
    )
    def test_must_be_named_by_the_hosts_grant_too(
        self, given: list[str], granted: list[str], make_user: MakeUser
    ) -> None:
        user = make_user(is_superuser=True)
        with pikku_settings(LOGIN_SCOPES=given):
            offer = offer_to(user, {"auth": ["mint", "read"]})
        assert scope_strings(offer.permissions) == granted
        assert offer.is_approvable == bool(granted)

    def test_are_in_the_default_for_everybody(self, make_user: MakeUser) -> None:
        user = self.user_with(make_user, "mint_apikey")
        assert default_login_scopes(user) == ["perm:*", "auth:*"]
        assert default_login_scopes(make_user("root", is_superuser=True)) == ["*", "auth:*"]
        with pikku_settings(LOGIN_SCOPES=DEFAULTS["LOGIN_SCOPES"]):
            assert scopes_of(logged_in(user, scope="auth:mint")) == ["auth:mint"]

    @ways
    def test_are_lost_with_the_permission_at_the_next_request(
        self, ask: Resolve, make_user: MakeUser
    ) -> None:
        user = self.user_with(make_user, "mint_apikey", "view_apikey")
        with pikku_settings(LOGIN_SCOPES=["auth:*"]):
            issued = logged_in(user, scope="auth:mint auth:read")
            assert scopes_of(issued, ask) == ["auth:mint", "auth:read"]
            user.user_permissions.remove(Permission.objects.get(codename="mint_apikey"))
            assert scopes_of(issued, ask) == ["auth:read"]

    @pytest.mark.parametrize("asked", ["sandbox:read auth:mint auth:read", "sandbox:read auth:*"])
    def test_that_were_not_granted_on_the_page_are_not_later_either(
        self, asked: str, make_user: MakeUser
    ) -> None:
        """Nobody was warned of them, and no recent sign-in stood for them."""
        user = self.user_with(make_user, "view_apikey")
        mint = Permission.objects.get(codename="mint_apikey")
        with pikku_settings(LOGIN_SCOPES=["sandbox:read", "auth:*"]):
            started = approved(user, scope=asked)
            user.user_permissions.add(mint)
            issued = exchange(started.device_code.digest, CLIENT)
            assert issued.scope == "auth:read sandbox:read"
            assert scopes_of(issued) == ["auth:read", "sandbox:read"]
            again = get_user_model()._default_manager.get(pk=user.pk)
            assert "auth:mint" in logged_in(again, scope=asked).scope.split()

    def test_that_nobody_knows_are_no_reason_to_grant_everything(self, make_user: MakeUser) -> None:
        with pikku_settings(LOGIN_SCOPES=["*", "auth:*"]):
            assert logged_in(make_user(is_superuser=True), scope="auth:fly").scope == ""

    def test_are_as_many_as_there_is_room_for(self, make_user: MakeUser) -> None:
        user = make_user(is_superuser=True)
        scope = f"auth:* {'x' * 1_974} sandbox:read"
        with pikku_settings(LOGIN_SCOPES=["*", "auth:*"]):
            assert logged_in(user, scope=scope).scope == "auth:mint sandbox:read"

    def test_are_nobodys_where_users_have_no_permissions(self) -> None:
        """As of a model without ``PermissionsMixin``."""
        user: Any = SimpleNamespace(pk=1)
        with pikku_settings(LOGIN_SCOPES=["auth:*"]):
            assert offer_to(user, {"auth": ["mint"]}).permissions == {}

    def test_are_no_browsers_on_a_websocket(self, make_user: MakeUser) -> None:
        user = make_user(is_superuser=True)
        with pikku_settings(LOGIN_SCOPES=["*", "auth:*"]):
            principal = redeem_ticket(issue_session_ticket(user, signed_in(user)).digest)
        assert principal.scopes == ["*"]

    @pytest.mark.parametrize(
        ("setting", "minutes", "is_let_in"),
        [(None, 14, True), (None, 16, False), (5, 6, False), (60, 59, True)],
    )
    def test_take_a_recent_sign_in_to_approve(
        self, setting: int | None, minutes: int, is_let_in: bool, make_user: MakeUser
    ) -> None:
        user, now = self.user_with(make_user, "mint_apikey"), timezone.now()
        age = None if setting is None else timedelta(minutes=setting)
        row = row_of(started_and_claimed(user, scope="auth:mint"))
        moment = now - timedelta(minutes=minutes)
        with pikku_settings(LOGIN_SCOPES=["auth:*"], SIGN_IN_MAX_AGE=age):
            if is_let_in:
                approve(row, user, signed_in_at=moment, now=now)
                return
            for too_old in (moment, None):
                with pytest.raises(DeviceFlowError) as told:
                    approve(row, user, signed_in_at=too_old, now=now)
                assert told.value.error == "insufficient_user_authentication"
        assert DeviceCode.objects.get().status == DeviceCode.Status.PENDING

    def test_that_are_not_granted_take_none(self, make_user: MakeUser) -> None:
        with pikku_settings(LOGIN_SCOPES=["sandbox:read", "auth:*"]):
            assert logged_in(make_user(), scope="sandbox:read auth:mint").scope == "sandbox:read"


class TestMapLogin:
    """``MAP_LOGIN`` has its word afterwards."""

    def test_sees_what_is_granted(self, make_user: MakeUser, monkeypatch: Any) -> None:
        seen: list[list[str]] = []
        from pikku_auth.principal import Mapped
        from tests import mappings

        def note(login: LoginSession, _request: Any) -> Mapped:
            seen.append(login.scopes)
            return Mapped(scopes=[s for s in login.scopes if s.endswith(":read")])

        monkeypatch.setattr(mappings, "note", note)
        issued = logged_in(make_user())
        given = ["sandbox:read", "sandbox:write"]
        with pikku_settings(LOGIN_SCOPES=given, MAP_LOGIN="tests.mappings.note"):
            assert scopes_of(issued) == ["sandbox:read"]
        assert seen == [given]

    def test_does_not_widen(self, make_user: MakeUser) -> None:
        issued = logged_in(make_user())
        with (
            pikku_settings(LOGIN_SCOPES=["perm:*"], MAP_LOGIN="tests.mappings.narrow"),
            pytest.raises(WidenedPermissions, match="sandbox:read"),
        ):
            authenticate(request_of(issued))


class TestApproving:
    """Who would be granted nothing can only deny."""

    @kinds
    @pytest.mark.parametrize(
        ("name", "words"),
        [("by_group", "could do nothing"), ("nobody", "may not log in from a terminal")],
    )
    def test_is_refused_where_nothing_would_be_granted(
        self, kind: str, name: str, words: str, make_user: MakeUser
    ) -> None:
        user = make_user()
        row = row_of(started_and_claimed(user, scope="sandbox:write"))
        with function(name, kind):
            with pytest.raises(NothingGranted, match=words) as told:
                approve(row, user)
            assert (told.value.error, told.value.status) == ("access_denied", 403)
            assert not AuditEvent.objects.filter(action=AuditEvent.Action.LOGIN_APPROVED).exists()
            deny(row, user)
        assert DeviceCode.objects.get().status == DeviceCode.Status.DENIED

    def test_is_refused_without_scopes_too(self, make_user: MakeUser) -> None:
        user = make_user()
        row = row_of(started_and_claimed(user))
        with pikku_settings(LOGIN_SCOPES=[]), pytest.raises(NothingGranted):
            approve(row, user)

    def test_does_for_a_part_of_what_was_asked_for(self, make_user: MakeUser) -> None:
        with function("by_group"):
            issued = logged_in(make_user(), scope="sandbox:read sandbox:write")
        assert issued.scope == "sandbox:read"


class TestFetching:
    """What is granted is decided again when the token is fetched."""

    @pytest.mark.parametrize("name", ["nobody", "by_group"])
    def test_gives_no_token_when_the_right_is_lost(self, name: str, make_user: MakeUser) -> None:
        started = approved(make_user(), scope="sandbox:write")
        with function(name), pytest.raises(DeviceFlowError) as told:
            exchange(started.device_code.digest, CLIENT)
        assert (told.value.error, told.value.status) == ("access_denied", 400)
        assert not LoginSession.objects.exists()

    def test_can_be_tried_again_after_an_error(self, make_user: MakeUser) -> None:
        started = approved(make_user())
        with function("fail"), pytest.raises(login_scopes.Broken):
            exchange(started.device_code.digest, CLIENT)
        DeviceCode.objects.update(last_polled_at=None)
        assert exchange(started.device_code.digest, CLIENT).login.user_id

    def test_records_what_is_granted(self, make_user: MakeUser) -> None:
        with function("by_group"):
            logged_in(make_user(), scope="sandbox:*")
        started = AuditEvent.objects.get(action=AuditEvent.Action.LOGIN_STARTED)
        assert started.details["scope"] == "sandbox:read"


class TestATicket:
    """A browser's session on a WebSocket."""

    def of(self, user: Any) -> Principal:
        return redeem_ticket(issue_session_ticket(user, signed_in(user)).digest)

    def test_has_what_its_human_is_given(self, make_user: MakeUser) -> None:
        user = make_user()
        with function("by_group"):
            principal = self.of(user)
            assert (principal.via, principal.scopes) == ("session", ["sandbox:read"])
            join(user)
            again = revalidate(principal, RequestFactory().get("/"))
            assert again.scopes == ["sandbox:read", "sandbox:write"]

    def test_has_no_scope_where_its_human_may_not_log_in(self, make_user: MakeUser) -> None:
        with function("nobody"):
            principal = self.of(make_user())
        assert (principal.scopes, principal.user.has_perm("auth.view_group")) == ([], False)

    def test_fails_with_the_function(self, make_user: MakeUser) -> None:
        user = make_user()
        with function("fail"), pytest.raises(login_scopes.Broken):
            self.of(user)

    def test_of_a_login_is_as_the_login(self, make_user: MakeUser) -> None:
        from pikku_auth.flows import issue_ticket

        issued = logged_in(make_user())
        ticket = issue_ticket(verify_login(issued.token.digest))
        with function("nobody"), pytest.raises(Refused):
            redeem_ticket(ticket.digest)


def test_every_superuser_is_bounded_by_the_grant(make_user: MakeUser) -> None:
    issued = logged_in(make_user("root", is_superuser=True))
    with pikku_settings(LOGIN_SCOPES=["sandbox:read"]):
        principal = authenticate(request_of(issued))
    assert principal
    assert not principal.user.has_perm("auth.view_group")
    fresh = get_user_model()._default_manager.get()
    assert fresh.has_perm("auth.view_group")
