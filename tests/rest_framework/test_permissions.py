"""Demanding scopes: alone, composed, by method and by action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import SessionAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from pikku_auth.testing import mint_test_key
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _any_scope_may_be_granted() -> Iterator[None]:
    with pikku_settings(SCOPES=None):
        yield


READ, WRITE = HasScope("sandbox:read"), HasScope("sandbox:write")


class Never(BasePermission):
    """Refuses with words of its own."""

    message = "Never."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class View(APIView):
    authentication_classes = [PikkuAuthentication, SessionAuthentication]

    def get(self, request: Request) -> Response:
        self.check_object_permissions(request, object())
        return Response()

    post = delete = get


def ask(
    permission: Any, scopes: list[str] | None, method: str = "GET", **attributes: Any
) -> Response:
    """Ask a view that demands ``permission``, with a key that has ``scopes``."""
    view = type("View", (View,), {"permission_classes": [permission], **attributes})
    request = APIRequestFactory().generic(method, "/")
    if scopes is not None:
        request.META["HTTP_X_API_KEY"] = mint_test_key(scopes).secret.reveal()
    return view.as_view()(request)


def test_a_key_with_the_scope_passes() -> None:
    assert ask(READ, ["sandbox:read"]).status_code == 200


@pytest.mark.parametrize("granted", [["sandbox:*"], ["*"]])
def test_a_wildcard_passes(granted: list[str]) -> None:
    assert ask(READ, granted).status_code == 200


@pytest.mark.parametrize("granted", [[], ["sandbox:write"], ["sandbox:readonly"], ["other:*"]])
def test_a_key_without_the_scope_is_told_which_is_missing(granted: list[str]) -> None:
    response = ask(READ, granted)
    assert response.status_code == 403
    assert response.data["detail"] == "Missing scope: sandbox:read."
    assert response.data["detail"].code == "insufficient_scope"


def test_every_scope_named_is_demanded() -> None:
    both = HasScope("sandbox:read", "sandbox:write")
    assert ask(both, ["sandbox:read", "sandbox:write"]).status_code == 200
    assert ask(both, []).data["detail"] == "Missing scope: sandbox:read, sandbox:write."
    assert ask(both, ["sandbox:read"]).data["detail"] == "Missing scope: sandbox:write."


def test_a_caller_without_a_credential_is_401() -> None:
    response = ask(READ, None)
    assert response.status_code == 401
    assert "ApiKey" in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"required_scopes": {"GET": ["sandbox:read"]}, "permission_classes": [HasScope]},
        {"permission_classes": [IsAuthenticated]},
    ],
)
def test_method_that_the_view_lacks_is_405(attributes: dict[str, Any]) -> None:
    assert ask(READ, ["sandbox:read"], "PUT", **attributes).status_code == 405


def ask_as_admin(permission: Any, make_user: Any) -> Response:
    view = type("View", (View,), {"permission_classes": [permission]})
    request = APIRequestFactory().get("/")
    force_authenticate(request, make_user(is_staff=True))
    return view.as_view()(request)


def test_a_caller_whom_another_class_has_authenticated_does_not_pass(make_user: Any) -> None:
    response = ask_as_admin(READ, make_user)
    assert response.status_code == 403
    assert response.data["detail"] == (
        "This needs an API key or a login token. The way you are signed in has no scopes."
    )
    assert response.data["code"] == "credential_required"


def test_such_a_caller_passes_where_another_rule_lets_it(make_user: Any) -> None:
    assert ask_as_admin(READ | IsAdminUser, make_user).status_code == 200


class TestComposition:
    """``&``, ``|`` and ``~``, on either side of DRF's own classes."""

    @pytest.mark.parametrize(
        ("permission", "passing", "failing"),
        [
            (READ & WRITE, ["sandbox:read", "sandbox:write"], ["sandbox:read"]),
            (READ | WRITE, ["sandbox:write"], ["other:read"]),
            (IsAuthenticated & READ, ["sandbox:read"], []),
            (READ & IsAuthenticated, ["sandbox:read"], []),
            (IsAdminUser | READ, ["sandbox:read"], []),
            (READ | IsAdminUser, ["sandbox:read"], []),
            ((READ | IsAdminUser) & WRITE, ["sandbox:*"], ["sandbox:read"]),
            (IsAuthenticated & (READ | WRITE), ["sandbox:write"], []),
            ((IsAuthenticated & AllowAny) & READ, ["sandbox:read"], []),
            (READ & ~WRITE, ["sandbox:read"], ["sandbox:*"]),
            (~READ, [], ["sandbox:read"]),
            (~(READ | WRITE), [], ["sandbox:write"]),
            (~READ & WRITE, ["sandbox:write"], ["sandbox:*"]),
        ],
    )
    def test_composed_permissions_decide_as_they_read(
        self, permission: Any, passing: list[str], failing: list[str]
    ) -> None:
        assert ask(permission, passing).status_code == 200
        assert ask(permission, failing).status_code == 403

    @pytest.mark.parametrize(
        ("permission", "message"),
        [
            (READ & WRITE, "Missing scope: sandbox:read."),
            (READ | WRITE, "Missing scope: sandbox:read. Missing scope: sandbox:write."),
            (IsAuthenticated & READ, "Missing scope: sandbox:read."),
            (IsAdminUser | READ, "Missing scope: sandbox:read."),
            ((READ | IsAdminUser) & WRITE, "Missing scope: sandbox:read."),
            (AllowAny & (IsAdminUser & READ), "You do not have permission to perform this action."),
            (READ | Never, "Missing scope: sandbox:read."),
        ],
    )
    def test_a_composed_refusal_still_names_the_scope(self, permission: Any, message: str) -> None:
        assert ask(permission, []).data["detail"] == message

    def test_the_words_of_another_permission_are_not_lost_in_a_list(self) -> None:
        view = type("View", (View,), {"permission_classes": [READ, Never]})
        request = APIRequestFactory().get("/")
        request.META["HTTP_X_API_KEY"] = mint_test_key(["sandbox:read"]).secret.reveal()
        assert view.as_view()(request).data["detail"] == "Never."


class TestTheHeadersOfARefusal:
    """RFC 6750, 3.1, as in every other integration."""

    @pytest.mark.parametrize(
        ("permission", "scopes"),
        [
            (READ, "sandbox:read"),
            (HasScope("sandbox:read", "sandbox:write"), "sandbox:read sandbox:write"),
            (READ & WRITE, "sandbox:read"),
            (READ | WRITE, "sandbox:read sandbox:write"),
            ((IsAdminUser | READ) & WRITE, "sandbox:read"),
        ],
    )
    def test_the_challenge_names_the_scopes(self, permission: Any, scopes: str) -> None:
        response = ask(permission, [])
        challenge = f'ApiKey realm="api", error="insufficient_scope", scope="{scopes}"'
        assert (response.status_code, response["WWW-Authenticate"]) == (403, challenge)
        assert response.data["code"] == "insufficient_scope"
        assert response["Cache-Control"] == "no-store"

    def test_a_subclass_may_name_the_realm(self) -> None:
        ours = type("Ours", (PikkuAuthentication,), {"www_authenticate_realm": "sandboxes"})
        response = ask(READ, [], authentication_classes=[ours])
        assert response["WWW-Authenticate"].startswith('ApiKey realm="sandboxes", error=')

    @pytest.mark.parametrize("permission", [READ | AllowAny, ~READ])
    def test_who_passes_in_the_end_is_not_challenged(self, permission: Any) -> None:
        response = ask(permission, [])
        assert (response.status_code, response.get("WWW-Authenticate")) == (200, None)
        assert "Cache-Control" not in response

    def test_another_rules_refusal_has_no_challenge(self) -> None:
        response = ask(IsAdminUser & READ, [])
        assert (response.status_code, response.get("WWW-Authenticate")) == (403, None)

    def test_who_has_no_scopes_at_all_is_not_told_to_bring_more(self, make_user: Any) -> None:
        assert "WWW-Authenticate" not in ask_as_admin(READ, make_user)

    def test_options_of_what_may_not_be_done_is_not_challenged(self) -> None:
        class Form(GenericAPIView):
            authentication_classes = [PikkuAuthentication]
            permission_classes = [HasScope]
            required_scopes = {"POST": ["sandbox:write"]}
            serializer_class = Serializer

            def post(self, request: Request) -> Response:
                raise NotImplementedError

        request = APIRequestFactory().options("/")
        request.META["HTTP_X_API_KEY"] = mint_test_key([]).secret.reveal()
        response = Form.as_view()(request)
        assert (response.status_code, response.get("WWW-Authenticate")) == (200, None)


class TestRequiredScopesOfTheView:
    """``HasScope`` alone, and the view says which."""

    def test_a_list_holds_for_every_method(self) -> None:
        scopes = {"required_scopes": ["sandbox:read"]}
        assert ask(HasScope, ["sandbox:read"], "POST", **scopes).status_code == 200
        assert ask(HasScope, [], "POST", **scopes).status_code == 403

    @pytest.mark.parametrize(
        ("method", "granted", "status"),
        [
            ("GET", ["sandbox:read"], 200),
            ("GET", ["sandbox:write"], 403),
            ("HEAD", ["sandbox:read"], 200),
            ("HEAD", ["sandbox:write"], 403),
            ("POST", ["sandbox:write"], 200),
            ("POST", ["sandbox:read"], 403),
            ("DELETE", ["*"], 403),
            ("OPTIONS", [], 200),
        ],
    )
    def test_a_mapping_says_it_by_method(
        self, method: str, granted: list[str], status: int
    ) -> None:
        scopes = {"GET": ["sandbox:read"], "POST": ["sandbox:write"]}
        assert ask(HasScope, granted, method, required_scopes=scopes).status_code == status

    def test_a_method_that_no_scope_opens_says_so(self) -> None:
        response = ask(HasScope, ["*"], "DELETE", required_scopes={"GET": ["sandbox:read"]})
        assert response.data["detail"] == "No scope allows this."

    def test_options_still_needs_a_principal(self) -> None:
        scopes = {"GET": ["sandbox:read"]}
        assert ask(HasScope, None, "OPTIONS", required_scopes=scopes).status_code == 401

    @pytest.mark.parametrize(
        ("action", "method", "granted", "status"),
        [
            ("list", "get", ["sandbox:read"], 200),
            ("list", "get", ["sandbox:write"], 403),
            ("restart", "post", ["sandbox:operate"], 200),
            ("restart", "post", ["sandbox:write"], 403),
            ("create", "post", ["sandbox:write"], 200),
        ],
    )
    def test_a_mapping_says_it_by_action_before_method(
        self, action: str, method: str, granted: list[str], status: int
    ) -> None:
        class Sandboxes(ViewSet):
            authentication_classes = [PikkuAuthentication]
            permission_classes = [HasScope]
            required_scopes = {
                "list": ["sandbox:read"],
                "restart": ["sandbox:operate"],
                "POST": ["sandbox:write"],
            }

            def act(self, request: Request) -> Response:
                return Response()

            list = restart = create = act

        request = APIRequestFactory().generic(method, "/")
        request.META["HTTP_X_API_KEY"] = mint_test_key(granted).secret.reveal()
        assert Sandboxes.as_view({method: action})(request).status_code == status

    @pytest.mark.parametrize("declared", [{}, {"required_scopes": None}])
    def test_a_view_that_says_nothing_is_a_mistake_and_not_open(
        self, declared: dict[str, Any]
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match="required_scopes"):
            ask(HasScope, ["*"], **declared)

    def test_an_empty_list_opens_a_view_to_any_key_and_to_nobody_else(self) -> None:
        assert ask(HasScope, [], required_scopes=[]).status_code == 200
        assert ask(HasScope, None, required_scopes=[]).status_code == 401


def test_a_scope_that_is_none_is_refused_when_the_view_is_written() -> None:
    with pytest.raises(ValueError, match="resource:action"):
        HasScope("sandbox")


def test_has_scope_is_a_permission_class_like_any_other() -> None:
    assert issubclass(READ, BasePermission)
    assert READ.__name__ == "HasScope"
    assert READ().scopes == ("sandbox:read",)
    assert {READ & WRITE} == {READ & WRITE}
