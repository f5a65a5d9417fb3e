"""The host's last word on a caller: it may add, narrow and reject, and never widen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.http import HttpRequest
from django.test import RequestFactory

from pikku_auth import signals
from pikku_auth.core.limits import parse_rate
from pikku_auth.exceptions import InvalidKey, InvalidToken, Refused, WidenedPermissions
from pikku_auth.flows import (
    IssuedKey,
    aresolve,
    averify_key,
    describe_service_user,
    resolve,
    revoke_key,
    verify_key,
)
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.principal import Principal
from tests import mappings
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
Resolve = Callable[[HttpRequest], Principal | None]

ways = pytest.mark.parametrize("ask", [resolve, async_to_sync(aresolve)], ids=["sync", "async"])
hooks = pytest.mark.parametrize("kind", ["", "a"], ids=["sync-hook", "async-hook"])


@pytest.fixture(autouse=True)
def _forget() -> None:
    mappings.seen.clear()


def mapping(name: str, kind: str = "") -> Any:
    path = f"tests.mappings.{kind}{name}"
    return pikku_settings(MAP_KEY=path, MAP_SESSION=path)


def with_key(issued: IssuedKey, **headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal(), **headers})


def certain(principal: Principal | None) -> Principal:
    assert principal is not None
    return principal


class TestBothWays:
    """A sync and an async mapping, asked by a sync and by an async door."""

    @ways
    @hooks
    def test_claims_are_the_applications_to_add(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint(permissions=["sandbox:read"])
        with mapping("note", kind):
            principal = certain(ask(with_key(issued, **{"X-Tenant": "acme"})))
        assert principal.claims == {"tenant": "acme", "credential": issued.key.pk}
        assert principal.scopes == ["sandbox:read"]

    @ways
    @hooks
    def test_permissions_can_be_narrowed(self, ask: Resolve, kind: str, mint: Mint) -> None:
        issued = mint(permissions=["sandbox:*", "perm:auth.view_group"])
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
        issued = mint(permissions=["sandbox:read"])
        with (
            mapping("widen", kind),
            pytest.raises(WidenedPermissions, match=r"sandbox:\*") as error,
        ):
            ask(with_key(issued))
        assert error.value.scopes == ["sandbox:*"]

    @ways
    @hooks
    def test_none_rejects(self, ask: Resolve, kind: str, mint: Mint) -> None:
        reasons: list[str] = []

        def hear(reason: str, **_: Any) -> None:
            reasons.append(reason)

        signals.key_refused.connect(hear)
        issued = mint()
        with mapping("reject", kind), pytest.raises(InvalidKey, match=r"^Invalid API key\.$"):
            ask(with_key(issued))
        signals.key_refused.disconnect(hear)
        assert reasons == ["rejected_by_mapping"]

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


class TestALogin:
    """``MAP_SESSION`` does for logins what ``MAP_KEY`` does for keys."""

    @ways
    def test_gets_claims(self, ask: Resolve, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("note"):
            principal = certain(ask(RequestFactory().get("/", headers=bearer(issued))))
        assert principal.claims["credential"] == issued.login.pk

    @ways
    def test_can_be_rejected(self, ask: Resolve, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("reject"), pytest.raises(InvalidToken):
            ask(RequestFactory().get("/", headers=bearer(issued)))

    def test_makes_no_mistake_of_the_keys(self, make_user: Any) -> None:
        issued = logged_in(make_user())
        with mapping("mistake"), pytest.raises(TypeError, match="MAP_SESSION"):
            resolve(RequestFactory().get("/", headers=bearer(issued)))

    @pytest.mark.parametrize("is_superuser", [False, True])
    def test_that_is_narrowed_narrows_its_user(self, make_user: Any, is_superuser: bool) -> None:
        user = make_user(is_superuser=is_superuser)
        user.user_permissions.add(Permission.objects.get(codename="view_group"))
        issued = logged_in(user)
        assert certain(resolve(RequestFactory().get("/", headers=bearer(issued)))).user.has_perm(
            "auth.view_group"
        )
        with mapping("nothing"):
            principal = certain(resolve(RequestFactory().get("/", headers=bearer(issued))))
        assert not principal.user.has_perm("auth.view_group")


def test_the_mapping_goes_by_the_rows_that_exist_now(mint: Mint, service_user: ServiceUser) -> None:
    issued = mint()
    with mapping("by_the_row"):
        describe_service_user(service_user, "acme")
        assert certain(resolve(with_key(issued))).claims == {"tenant": "acme"}
        describe_service_user(service_user, "stopped")
        with pytest.raises(InvalidKey):
            resolve(with_key(issued))


def test_claims_can_not_be_changed_afterwards(mint: Mint) -> None:
    with mapping("note"):
        principal = certain(resolve(with_key(mint())))
    with pytest.raises(TypeError):
        principal.claims["tenant"] = "evil"  # type: ignore[index]


def test_without_a_mapping_there_are_no_claims(mint: Mint) -> None:
    assert certain(resolve(with_key(mint()))).claims == {}


def test_it_is_not_asked_about_a_bad_credential(mint: Mint) -> None:
    issued = mint()
    revoke_key(issued.key)
    with mapping("note"), pytest.raises(InvalidKey):
        resolve(with_key(issued))
    assert mappings.seen == []


class TestOncePerRequest:
    """However many doors a request passes."""

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
        assert certain(resolve(request)).key == first.key
        request.META["HTTP_X_API_KEY"] = second.secret.reveal()
        assert certain(resolve(request)).key == second.key


def test_a_key_is_verified_the_same_way_asynchronously(mint: Mint) -> None:
    issued = mint(permissions=["sandbox:read"])
    secret, averify = issued.secret.reveal(), async_to_sync(averify_key)
    assert averify(secret, scopes=["sandbox:read"]).key == verify_key(secret).key
    with pytest.raises(InvalidKey):
        averify("pka_x")
