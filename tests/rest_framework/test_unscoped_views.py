"""Which views of REST framework demand scopes, and which are closed to keys."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.permissions import (
    SAFE_METHODS,
    AllowAny,
    BasePermission,
    DjangoModelPermissions,
    IsAdminUser,
    IsAuthenticated,
    IsAuthenticatedOrReadOnly,
)
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from example_project.sandboxes.models import Sandbox
from pikku_auth.decorators import any_key
from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from pikku_auth.testing import mint_test_key
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

READ = HasScope("sandbox:read")


class People(APIView):
    """Asks who is there, and nothing of scopes."""

    authentication_classes = [PikkuAuthentication, SessionAuthentication]
    permission_classes: Any = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"auth": type(request.auth).__name__})

    post = get


class Custom(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.is_authenticated)


class ModelRights(DjangoModelPermissions):
    """A host's own."""


def view_of(*permissions: Any, **attributes: Any) -> Any:
    return type("View", (People,), {"permission_classes": permissions, **attributes}).as_view()


def function(request: Request) -> Response:
    return Response({"auth": type(request.auth).__name__})


def api_function(*, below: bool = False, above: bool = False) -> Any:
    def view(request: Request) -> Response:
        return function(request)

    made: Any = any_key(view) if below else view
    made = permission_classes([IsAuthenticated])(made)
    made = authentication_classes([PikkuAuthentication])(made)
    made = api_view(["GET", "POST"])(made)
    return any_key(made) if above else made


class Actions(ViewSet):
    authentication_classes = [PikkuAuthentication]
    permission_classes = [IsAuthenticated]

    def list(self, request: Request) -> Response:
        return function(request)

    @action(detail=False, permission_classes=[READ])
    def scoped(self, request: Request) -> Response:
        return function(request)

    @any_key
    @action(detail=False)
    def marked(self, request: Request) -> Response:
        return function(request)

    @action(detail=False)
    @any_key
    def marked_below(self, request: Request) -> Response:
        return function(request)


class Chosen(Actions):
    """Chooses its permissions by the action, and asks who is there on the way."""

    def get_permissions(self) -> list[BasePermission]:
        assert self.request.user.is_authenticated
        return [READ()] if self.action == "list" else [IsAuthenticated()]

    def scoped(self, request: Request) -> Response:
        return function(request)


class OnePart(People):
    @any_key
    def get(self, request: Request) -> Response:
        return function(request)


NOT_OURS = {"required_scopes": ["read", "write things"]}
MODEL = {"queryset": Sandbox.objects.none()}
BY_METHOD = {"required_scopes": {"GET": ["sandbox:read"]}}

CLOSED = (403, "unscoped_view")
LACKING = (403, "insufficient_scope")
DENIED = (403, "permission_denied")
ADMITTED = (200, "Principal")
ANONYMOUS = (200, "NoneType")

VIEWS: dict[str, tuple[Any, tuple[int, str], tuple[int, str]]] = {
    # view, what a key without scopes is answered, what one with sandbox:read is
    "IsAuthenticated": (view_of(IsAuthenticated), CLOSED, CLOSED),
    "IsAdminUser": (view_of(IsAdminUser), CLOSED, CLOSED),
    "IsAuthenticatedOrReadOnly": (view_of(IsAuthenticatedOrReadOnly), CLOSED, CLOSED),
    "a permission of the host": (view_of(Custom), CLOSED, CLOSED),
    "a composition without scopes": (view_of(IsAuthenticated & ~IsAdminUser), CLOSED, CLOSED),
    "AllowAny beside another": (view_of(AllowAny, Custom), CLOSED, CLOSED),
    "AllowAny": (view_of(AllowAny), ANONYMOUS, ANONYMOUS),
    "no permissions": (view_of(), ANONYMOUS, ANONYMOUS),
    "HasScope": (view_of(READ), LACKING, ADMITTED),
    "HasScope beside another": (view_of(IsAuthenticated, READ), LACKING, ADMITTED),
    "HasScope in an and": (view_of(IsAuthenticated & READ), LACKING, ADMITTED),
    "HasScope in an or": (view_of(IsAdminUser | READ), LACKING, ADMITTED),
    "HasScope in a not": (view_of(~(IsAdminUser | READ)), ADMITTED, DENIED),
    "required_scopes": (view_of(HasScope, required_scopes=["sandbox:read"]), LACKING, ADMITTED),
    "no required_scopes": (view_of(HasScope, required_scopes=[]), ADMITTED, ADMITTED),
    "required_scopes alone": (
        view_of(IsAuthenticated, required_scopes=["sandbox:read"]),
        LACKING,
        ADMITTED,
    ),
    "no required_scopes alone": (
        view_of(IsAuthenticated, required_scopes=[]),
        ADMITTED,
        ADMITTED,
    ),
    "required_scopes by method alone": (view_of(IsAuthenticated, **BY_METHOD), LACKING, ADMITTED),
    "required_scopes of another package": (view_of(IsAuthenticated, **NOT_OURS), CLOSED, CLOSED),
    "Django's permissions": (view_of(DjangoModelPermissions, **MODEL), ADMITTED, ADMITTED),
    "a subclass of Django's permissions": (view_of(ModelRights, **MODEL), ADMITTED, ADMITTED),
    "a function": (api_function(), CLOSED, CLOSED),
    "any_key above api_view": (api_function(above=True), ADMITTED, ADMITTED),
    "any_key below api_view": (api_function(below=True), ADMITTED, ADMITTED),
    "any_key on a class": (any_key(type("View", (People,), {})).as_view(), ADMITTED, ADMITTED),
    "any_key on what as_view makes": (any_key(People.as_view()), ADMITTED, ADMITTED),
    "any_key, decorated once more": (never_cache(any_key(People.as_view())), ADMITTED, ADMITTED),
    "any_key on dispatch": (
        method_decorator(any_key, "dispatch")(type("View", (People,), {})).as_view(),
        ADMITTED,
        ADMITTED,
    ),
    "any_key on a method": (OnePart.as_view(), ADMITTED, ADMITTED),
    "any_key beside a permission": (any_key(view_of(IsAdminUser)), DENIED, DENIED),
    "a class whose other route is marked": (People.as_view(), CLOSED, CLOSED),
    "an action": (Actions.as_view({"get": "list"}), CLOSED, CLOSED),
    "an action with permissions of its own": (
        Actions.as_view({"get": "scoped"}, permission_classes=[READ]),
        LACKING,
        ADMITTED,
    ),
    "any_key above an action": (Actions.as_view({"get": "marked"}), ADMITTED, ADMITTED),
    "any_key below an action": (Actions.as_view({"get": "marked_below"}), ADMITTED, ADMITTED),
    "get_permissions, with a scope": (Chosen.as_view({"get": "list"}), LACKING, ADMITTED),
    "get_permissions, without": (Chosen.as_view({"get": "scoped"}), CLOSED, CLOSED),
}


def answer(view: Any, scopes: list[str], method: str = "get") -> tuple[int, str]:
    key = mint_test_key(scopes).secret.reveal()
    response = view(getattr(APIRequestFactory(), method)("/", headers={"x-api-key": key}))
    told = response.data.get("auth") or response.data["detail"].code
    return response.status_code, told


@pytest.mark.parametrize("case", VIEWS)
def test_view_is_closed_to_keys_unless_it_demands_scopes_or_is_marked(case: str) -> None:
    view, without, with_scope = VIEWS[case]
    assert (answer(view, []), answer(view, ["sandbox:read"])) == (without, with_scope)


CLOSED_VIEWS = [case for case, (_, without, _) in VIEWS.items() if without == CLOSED]


@pytest.mark.parametrize("case", CLOSED_VIEWS)
def test_closed_view_decides_for_itself_where_the_setting_opens_it(case: str) -> None:
    admin = case == "IsAdminUser"
    with pikku_settings(UNSCOPED_VIEWS="open"):
        told = answer(VIEWS[case][0], [])
    assert told == (DENIED if admin else ADMITTED)


def test_mark_on_one_method_leaves_the_others_closed() -> None:
    assert answer(OnePart.as_view(), [], "post") == CLOSED
    assert answer(OnePart.as_view(), [], "head") == ADMITTED


def test_method_without_required_scopes_is_closed() -> None:
    view = view_of(IsAuthenticated, required_scopes={"GET": []})
    assert answer(view, [], "get") == ADMITTED
    assert answer(view, ["*"], "post") == CLOSED


def test_django_permission_is_bounded_by_the_keys_scopes() -> None:
    view = view_of(DjangoModelPermissions, queryset=Sandbox.objects.none())
    assert answer(view, ["perm:other.add_thing"], "post") == DENIED


def test_refusal_says_what_to_do() -> None:
    key = mint_test_key().secret.reveal()
    response = People.as_view()(APIRequestFactory().get("/", headers={"x-api-key": key}))
    assert "@any_key" in response.data["detail"]
    assert response["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response


def test_safe_methods_are_no_exception() -> None:
    view = view_of(IsAuthenticatedOrReadOnly)
    assert {answer(view, [], method.lower()) for method in SAFE_METHODS} == {CLOSED}


def test_code_that_asks_outside_of_a_view_decides_for_itself() -> None:
    key = mint_test_key().secret.reveal()
    request = Request(APIRequestFactory().get("/", headers={"x-api-key": key}))
    found = PikkuAuthentication().authenticate(request)
    assert found is not None
    assert found[1] is not None


@pytest.mark.parametrize(
    ("unauthenticated", "seen_as"),
    [(None, "NoneType"), ("django.contrib.auth.models.AnonymousUser", "AnonymousUser")],
)
def test_public_view_sees_the_anonymous_user_of_the_settings(
    settings: Any, unauthenticated: str | None, seen_as: str
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "UNAUTHENTICATED_USER": unauthenticated}

    class Public(People):
        permission_classes = [AllowAny]

        def get(self, request: Request) -> Response:
            return Response({"auth": type(request.user).__name__})

    assert answer(Public.as_view(), []) == (200, seen_as)
