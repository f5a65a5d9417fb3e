"""The host's last word on a caller: it may add, narrow and reject, and never widen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from rest_framework.exceptions import NotAuthenticated as NotAuthenticatedOfDrf

from pikku_auth import signals
from pikku_auth.core.limits import parse_rate
from pikku_auth.exceptions import (
    InsufficientScope,
    InvalidKey,
    InvalidToken,
    MappingFailed,
    NetworkNotAllowed,
    NotAuthenticated,
    Refused,
    WidenedPermissions,
)
from pikku_auth.flows import (
    IssuedKey,
    aauthenticate,
    authenticate,
    averify_key,
    describe_service_user,
    revoke_key,
    verify_key,
)
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.principal import Mapped, Principal, bound_of
from tests import mappings
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
Resolve = Callable[[HttpRequest], Principal | None]

ways = pytest.mark.parametrize(
    "ask", [authenticate, async_to_sync(aauthenticate)], ids=["sync", "async"]
)
hooks = pytest.mark.parametrize("kind", ["", "a"], ids=["sync-hook", "async-hook"])


@pytest.fixture(autouse=True)
def _forget() -> None:
    mappings.seen.clear()


def mapping(name: str, kind: str = "") -> Any:
    path = f"tests.mappings.{kind}{name}"
    return pikku_settings(MAP_KEY=path, MAP_LOGIN=path)


def with_key(issued: IssuedKey, **headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal(), **headers})


def certain(principal: Principal | None) -> Principal:
    assert principal is not None
    return principal


class TestBothWays:
    """A sync and an async mapping, asked by a sync and by an async integration."""

    @ways
    @hooks
    def test_claims_are_the_applications_to_add(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"])
        with mapping("note", kind):
            principal = certain(ask(with_key(issued, **{"X-Tenant": "acme"})))
        assert principal.claims == {"tenant": "acme", "credential": issued.key.pk}
        assert principal.scopes == ["sandbox:read"]

    @ways
    @hooks
    def test_permissions_can_be_narrowed(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:*", "perm:auth.view_group"])
        with mapping("narrow", kind):
            principal = certain(ask(with_key(issued)))
        assert principal.scopes == ["sandbox:read"]
        assert (principal.has_scope("sandbox:read"), principal.has_scope("sandbox:write")) == (
            True,
            False,
        )

    @ways
    @hooks
    def test_and_never_widened(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"])
        with (
            mapping("widen", kind),
            pytest.raises(WidenedPermissions, match=r"sandbox:\*") as error,
        ):
            ask(with_key(issued))
        assert error.value.scopes == ["sandbox:*"]

    @ways
    @hooks
    def test_nor_by_changing_the_row_that_is_given(
        self, ask: Resolve, kind: str, mint: Mint
    ) -> None:
        issued = mint(scopes=["sandbox:read", "perm:auth.view_group"])
        with mapping("tamper", kind):
            principal = certain(ask(with_key(issued)))
        assert principal.scopes == ["perm:auth.view_group", "sandbox:read"]
        assert bound_of(principal.user) == {
            "perm": ("auth.view_group",),
            "sandbox": ("read",),
        }

    @ways
    @hooks
    def test_none_rejects(self, ask: Resolve, kind: str, mint: Mint) -> None:
        heard: list[Any] = []

        def hear(reason: str, ip: str, **_: Any) -> None:
            heard.append((reason, ip, APIKey.objects.count()))  # an alarm may ask the database

        signals.key_refused.connect(hear)
        issued = mint()
        with mapping("reject", kind), pytest.raises(InvalidKey, match=r"^Invalid API key\.$"):
            ask(with_key(issued))
        signals.key_refused.disconnect(hear)
        assert heard == [("rejected_by_mapping", "127.0.0.1", 1)]

    @ways
    @hooks
    def test_anything_else_is_a_mistake_that_is_explained(
        self, ask: Resolve, kind: str, mint: Mint
    ) -> None:
        issued = mint()
        with mapping("mistake", kind), pytest.raises(TypeError, match="must return a pikku_auth"):
            ask(with_key(issued))

    @ways
    @hooks
    def test_its_errors_surface(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint()
        with mapping("fail", kind), pytest.raises(mappings.Broken):
            ask(with_key(issued))

    @ways
    @pytest.mark.parametrize(
        "error", [Http404, PermissionDenied, NotAuthenticated, NotAuthenticatedOfDrf]
    )
    def test_no_error_is_taken_for_an_answer(
        self, ask: Resolve, error: type[Exception], mint: Mint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def miss(*_: Any) -> None:
            raise error

        monkeypatch.setattr(mappings, "fail", miss)
        issued = mint()
        with mapping("fail"), pytest.raises(MappingFailed, match="return None to reject") as told:
            ask(with_key(issued))
        assert isinstance(told.value.__cause__, error)

    @ways
    def test_an_object_may_be_one(self, ask: Resolve, mint: Mint) -> None:
        issued = mint()
        with mapping("asked_when_called"):
            assert certain(ask(with_key(issued))).claims["credential"] == issued.key.pk


def test_what_is_granted_after_all_is_no_wider_than_the_row_said(mint: Mint) -> None:
    issued = mint(scopes=["sandbox:read"])
    with mapping("tamper_and_say_so"), pytest.raises(WidenedPermissions) as error:
        authenticate(with_key(issued))
    assert error.value.scopes == ["admin:*"]


class TestALogin:
    """``MAP_LOGIN`` does for logins what ``MAP_KEY`` does for keys."""

    @ways
    def test_gets_claims(self, ask: Resolve, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("note"):
            principal = certain(ask(RequestFactory().get("/", headers=bearer(issued))))
        assert principal.claims["credential"] == issued.login.pk

    def test_that_is_unrestricted_shares_nothing_with_the_next(self, make_user: Any) -> None:
        principal = certain(
            authenticate(RequestFactory().get("/", headers=bearer(logged_in(make_user()))))
        )
        with pytest.raises(TypeError, match="read-only"):
            principal.permissions.clear()  # type: ignore[attr-defined]  # there is no such thing

    @ways
    def test_can_be_rejected(self, ask: Resolve, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("reject"), pytest.raises(InvalidToken):
            ask(RequestFactory().get("/", headers=bearer(issued)))

    def test_listeners_learn_which_login_the_mapping_rejected(self, make_user: Any) -> None:
        heard: list[Any] = []

        def hear(login: Any, reason: str, ip: str, **_: Any) -> None:
            heard.append((login, reason, ip))

        signals.login_refused.connect(hear)
        issued = logged_in(make_user())
        with mapping("reject"), pytest.raises(InvalidToken):
            authenticate(RequestFactory().get("/", headers=bearer(issued)))
        signals.login_refused.disconnect(hear)
        assert heard == [(issued.login, "rejected_by_mapping", "127.0.0.1")]

    def test_makes_no_mistake_of_the_keys(self, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("mistake"), pytest.raises(TypeError, match="MAP_LOGIN"):
            authenticate(RequestFactory().get("/", headers=bearer(issued)))

    @pytest.mark.parametrize("is_superuser", [False, True])
    def test_that_is_narrowed_narrows_its_user(self, make_user: Any, is_superuser: bool) -> None:
        user = make_user(is_superuser=is_superuser)
        user.user_permissions.add(Permission.objects.get(codename="view_group"))
        issued = logged_in(user)
        assert certain(
            authenticate(RequestFactory().get("/", headers=bearer(issued)))
        ).user.has_perm("auth.view_group")
        with mapping("nothing"):
            principal = certain(authenticate(RequestFactory().get("/", headers=bearer(issued))))
        assert not principal.user.has_perm("auth.view_group")


def test_the_mapping_goes_by_the_rows_that_exist_now(mint: Mint, service_user: ServiceUser) -> None:
    issued = mint()
    with mapping("by_the_row"):
        describe_service_user(service_user, "acme")
        assert certain(authenticate(with_key(issued))).claims == {"tenant": "acme"}
        describe_service_user(service_user, "stopped")
        with pytest.raises(InvalidKey):
            authenticate(with_key(issued))


def test_claims_can_not_be_changed_afterwards(mint: Mint) -> None:
    with mapping("note"):
        principal = certain(authenticate(with_key(mint())))
    with pytest.raises(TypeError):
        principal.claims["tenant"] = "evil"  # type: ignore[index]


def test_nor_by_the_mapping_itself(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {"tenant": "acme"}
    monkeypatch.setattr(mappings, "note", lambda credential, request: Mapped(claims))
    with mapping("note"):
        principal = certain(authenticate(with_key(mint())))
    claims["tenant"] = "evil"
    assert principal.claims == {"tenant": "acme"}


def test_without_a_mapping_there_are_no_claims(mint: Mint) -> None:
    assert certain(authenticate(with_key(mint()))).claims == {}


def test_it_is_not_asked_about_a_bad_credential(mint: Mint) -> None:
    issued = mint()
    revoke_key(issued.key)
    with mapping("note"), pytest.raises(InvalidKey):
        authenticate(with_key(issued))
    assert mappings.seen == []


class TestOncePerRequest:
    """However many integrations a request passes."""

    @ways
    def test_the_mapping_is_asked(self, ask: Resolve, mint: Mint) -> None:
        request = with_key(mint())
        with mapping("note"):
            assert ask(request) is ask(request)
        ((credential, asked),) = mappings.seen
        assert (type(credential), asked) == (APIKey, request)

    @ways
    def test_a_call_is_counted(self, ask: Resolve, mint: Mint) -> None:
        request = with_key(mint(rate=parse_rate("5/m"), quota=5))
        for _ in range(3):
            ask(request)
        assert (APIKey.objects.get().window_calls, APIKey.objects.get().remaining) == (1, 4)

    @ways
    def test_a_refusal_stays_one(self, ask: Resolve, mint: Mint) -> None:
        request = with_key(mint())
        with mapping("reject"), pytest.raises(Refused) as first:
            ask(request)
        with pytest.raises(Refused) as second:
            ask(request)
        assert first.value is second.value

    def test_another_credential_is_judged_anew(self, mint: Mint) -> None:
        first, second = mint(), mint()
        request = with_key(first)
        assert certain(authenticate(request)).key == first.key
        request.META["HTTP_X_API_KEY"] = second.secret.reveal()
        assert certain(authenticate(request)).key == second.key


class TestAsynchronously:
    """The same rules."""

    def test_a_key_is_verified(self, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"], networks=["192.0.2.0/24"])
        secret, averify = issued.secret.reveal(), async_to_sync(averify_key)
        found = averify(secret, scopes=["sandbox:read"], ip="192.0.2.7")
        assert found.key == verify_key(secret, ip="192.0.2.7").key
        for wrong, refusal in (
            ({"scopes": ["sandbox:write"], "ip": "192.0.2.7"}, InsufficientScope),
            ({"ip": "198.51.100.1"}, NetworkNotAllowed),
            ({"ip": "192.0.2.7", "now": issued.key.expires_at}, InvalidKey),
        ):
            with pytest.raises(refusal):
                averify(secret, **wrong)
        with pytest.raises(InvalidKey):
            averify("pka_x")

    def test_a_request_is_judged_at_the_moment_that_is_given(self, mint: Mint) -> None:
        issued = mint()
        with pytest.raises(InvalidKey):
            async_to_sync(aauthenticate)(with_key(issued), now=issued.key.expires_at)


def test_a_principal_is_called_the_same_whatever_is_claimed(mint: Mint) -> None:
    """Throttles, such as django-ninja's, take its text for a name."""
    issued = mint()
    with mapping("note"):
        one = certain(authenticate(with_key(issued, **{"X-Tenant": "one"})))
        two = certain(authenticate(with_key(issued, **{"X-Tenant": "two"})))
    assert one.claims != two.claims
    assert str(one) == str(two) == f"api_key:{issued.key.pk}"
