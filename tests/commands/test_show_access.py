"""``manage.py show_access``: who gets in where, by what the views declare."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View
from ninja.security import django_auth
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import (
    AllowAny,
    BasePermission,
    DjangoModelPermissions,
    DjangoModelPermissionsOrAnonReadOnly,
    IsAdminUser,
    IsAuthenticated,
    IsAuthenticatedOrReadOnly,
)
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from example_project.sandboxes.models import Sandbox
from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from pikku_auth.decorators import any_key, browser_session_required, require_principal
from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from tests.conftest import pikku_settings
from tests.rest_framework.test_unscoped_views import VIEWS, answer

MIDDLEWARE = "pikku_auth.middleware.PikkuAuthMiddleware"
READ = HasScope("sandbox:read")
Row = dict[str, Any]


def listed(*options: str) -> list[Row]:
    out = StringIO()
    call_command("show_access", "--format", "json", *options, stdout=out)
    rows: list[Row] = json.loads(out.getvalue())
    return rows


class Api(APIView):
    authentication_classes: Any = [PikkuAuthentication]
    permission_classes: Any = [IsAuthenticated]
    queryset = Sandbox.objects.none()

    def get(self, request: Request) -> Any: ...

    post = get


class OfItsOwn(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class ByObject(BasePermission):
    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        return True


class ByCaller(Api):
    def get_permissions(self) -> Any:
        return [IsAdminUser()] if self.request.user.is_staff else [READ()]


class ByMethod(Api):
    def get_permissions(self) -> Any:
        return [IsAdminUser()] if self.request.method == "POST" else [READ()]


class Checking(Api):
    def check_permissions(self, request: Request) -> None: ...


class WithoutModel(Api):
    queryset: Any = None
    permission_classes = [DjangoModelPermissions]


def api(*permissions: Any, **attributes: Any) -> Any:
    return type("Api", (Api,), {"permission_classes": permissions, **attributes}).as_view()


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Plain(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


SESSIONS = [PikkuAuthentication, SessionAuthentication]
NEEDS = {"required_scopes": ["sandbox:read"], "authentication_classes": SESSIONS}

# view, who gets in by GET, who by POST
VIEWS_OF_DRF: dict[str, tuple[Any, str, str]] = {
    "IsAuthenticated": (api(IsAuthenticated), "a signed-in human", "a signed-in human"),
    "AllowAny": (api(AllowAny), "anybody", "anybody"),
    "nothing": (api(), "anybody", "anybody"),
    "IsAdminUser": (api(IsAdminUser), "staff", "staff"),
    "read only": (api(IsAuthenticatedOrReadOnly), "anybody", "a signed-in human"),
    "HasScope": (api(READ), "sandbox:read", "sandbox:read"),
    "and": (api(READ & HasScope("user:read")), *["sandbox:read and user:read"] * 2),
    "two": (api(IsAuthenticated, READ), "sandbox:read", "sandbox:read"),
    "or": (api(READ | IsAdminUser), "sandbox:read or staff", "sandbox:read or staff"),
    "an or that any key passes": (api(READ | IsAuthenticated), "any key", "any key"),
    "a not": (api(~READ), "unknown", "unknown"),
    "a mapping": (api(HasScope, required_scopes={"GET": []}), "any key", "nobody"),
    "a mistake": (api(HasScope), "unknown", "unknown"),
    "required_scopes alone": (
        api(IsAuthenticated, **NEEDS),
        *["a signed-in human or sandbox:read"] * 2,
    ),
    "required_scopes of another": (
        api(IsAuthenticated, required_scopes=["read it"]),
        *["a signed-in human"] * 2,
    ),
    "model permissions": (
        api(DjangoModelPermissions),
        "any key",
        "perm:sandboxes.add_sandbox",
    ),
    "model permissions, read only": (
        api(DjangoModelPermissionsOrAnonReadOnly),
        "anybody",
        "perm:sandboxes.add_sandbox",
    ),
    "model permissions without a model": (WithoutModel.as_view(), "unknown", "unknown"),
    "any_key": (any_key(api(IsAuthenticated)), "any key", "any key"),
    "a permission of its own": (api(OfItsOwn), "unknown", "unknown"),
    "one for objects": (api(ByObject), "unknown", "unknown"),
    "a choice by the caller": (ByCaller.as_view(), "unknown", "unknown"),
    "a choice by the method": (ByMethod.as_view(), "sandbox:read", "staff"),
    "a check of its own": (Checking.as_view(), "unknown", "unknown"),
    "without our class": (
        api(IsAuthenticated, authentication_classes=[SessionAuthentication]),
        *["a signed-in human"] * 2,
    ),
}


@pytest.mark.parametrize("case", VIEWS_OF_DRF)
def test_view_of_rest_framework_shows_who_gets_in(settings: Any, case: str) -> None:
    view, *who = VIEWS_OF_DRF[case]
    settings.ROOT_URLCONF = (path("", view),)
    assert [row["who"] for row in listed()] == who


@pytest.mark.django_db
@pytest.mark.parametrize("unscoped", ["closed", "open"])
@pytest.mark.parametrize("case", VIEWS)
def test_view_that_is_not_shown_as_open_refuses_a_key_without_scopes(
    settings: Any, case: str, unscoped: str
) -> None:
    view = VIEWS[case][0]
    settings.ROOT_URLCONF = (path("", view),)
    with pikku_settings(UNSCOPED_VIEWS=unscoped):
        (row,) = [row for row in listed() if row["method"] == "GET"]
        status, _ = answer(view, [])
    assert row["open"] or status == 403


class Things(ViewSet):
    authentication_classes = [PikkuAuthentication]
    permission_classes = [HasScope]
    required_scopes = {"list": ["thing:list"], "POST": ["thing:write"], "GET": ["thing:read"]}

    def retrieve(self, request: Request) -> Any: ...

    list = create = retrieve


def test_routes_have_their_namespaces_and_methods(settings: Any) -> None:
    router = SimpleRouter()
    router.register("things", Things, basename="thing")
    inner = ([re_path(r"^(?P<year>[0-9]{4})/", include(router.urls))], "shop")
    settings.ROOT_URLCONF = (path("api/", include(inner, namespace="v1")),)
    rows = listed()
    assert [(row["method"], row["route"], row["name"], row["who"]) for row in rows] == [
        ("GET", "/api/<year>/things/", "v1:thing-list", "thing:list"),
        ("POST", "/api/<year>/things/", "v1:thing-list", "thing:write"),
        ("GET", "/api/<year>/things/<pk>/", "v1:thing-detail", "thing:read"),
    ]
    assert rows[0] == {
        "route": "/api/<year>/things/",
        "name": "v1:thing-list",
        "method": "GET",
        "view": f"{__name__}.Things",
        "access": "scopes",
        "who": "thing:list",
        "scopes": ["thing:list"],
        "open": False,
    }


PLAIN_VIEWS: dict[str, tuple[Any, str, str]] = {
    "undecorated": (plain, "*", "unknown"),
    "a class": (Plain.as_view(), "GET", "unknown"),
    "any_key": (any_key(type("Marked", (Plain,), {})).as_view(), "GET", "any key"),
    "require_principal": (require_principal(plain), "*", "any key"),
    "scopes": (require_principal(scopes=["a:b", "a:c"])(plain), "*", "a:b and a:c"),
    "a class with scopes": (
        require_principal(scopes=["a:b"])(type("Scoped", (Plain,), {})).as_view(),
        "GET",
        "a:b",
    ),
    "for browsers": (browser_session_required(plain), "*", "a signed-in human"),
    "a class for browsers": (
        browser_session_required(type("Page", (Plain,), {})).as_view(),
        "GET",
        "a signed-in human",
    ),
}


@pytest.mark.parametrize("case", PLAIN_VIEWS)
def test_plain_view_shows_what_it_declares(settings: Any, case: str) -> None:
    view, method, who = PLAIN_VIEWS[case]
    settings.ROOT_URLCONF = (path("", view),)
    assert [(row["method"], row["who"]) for row in listed()] == [(method, who)]


def test_operation_of_ninja_shows_who_gets_in(settings: Any) -> None:
    ninja = PikkuNinjaAPI(auth=PikkuNinjaAuth(), urls_namespace="shown", openapi_url=None)
    auths: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"auth": PikkuNinjaAuth(scopes=["a:b"])},
        "c": {"auth": PikkuNinjaAuth(scopes=[])},
        "d": {"auth": [PikkuNinjaAuth(scopes=["a:b"]), django_auth]},
        "e": {"auth": None},
        "f": {"auth": lambda request: None},
    }
    for name, options in auths.items():
        ninja.get(f"/{name}", **options)(lambda request: None)
    ninja.post("/a")(any_key(lambda request: None))
    settings.ROOT_URLCONF = (path("", ninja.urls),)
    shown = {(row["method"], row["route"]): row["who"] for row in listed()}
    del shown["*", "/"]  # the root that ninja adds
    assert shown == {
        ("GET", "/a"): "a signed-in human",
        ("POST", "/a"): "any key",
        ("GET", "/b"): "a:b",
        ("GET", "/c"): "any key",
        ("GET", "/d"): "a signed-in human or a:b",
        ("GET", "/e"): "anybody",
        ("GET", "/f"): "unknown",
    }


def test_admin_and_our_own_endpoints_are_shown_and_not_open(settings: Any) -> None:
    settings.ROOT_URLCONF = (
        path("office/", admin.site.urls),
        path("auth/", include("pikku_auth.urls")),
    )
    shown = {row["route"]: row["who"] for row in listed()}
    assert shown["/office/"] == "staff"
    assert shown["/office/login/"] == "anybody"
    assert shown["/auth/whoami"] == "any key"
    assert shown["/auth/introspect"] == "auth:introspect or auth:introspect_logins"
    assert shown["/auth/revoke"] == "anybody"
    assert shown["/auth/device/approve"] == "a signed-in human"
    assert "unknown" not in shown.values()
    assert listed("--open") == []


ONE_OPEN = (path("closed/", api(READ)), path("open/", any_key(api(IsAuthenticated))))


def test_open_lists_where_a_key_without_scopes_gets_in_and_fails(settings: Any) -> None:
    settings.ROOT_URLCONF = ONE_OPEN
    out = StringIO()
    with pytest.raises(CommandError, match="by 2 of the routes") as failed:
        call_command("show_access", "--open", stdout=out)
    assert failed.value.returncode == 1
    assert "/open/" in out.getvalue()
    assert "/closed/" not in out.getvalue()


def test_open_passes_where_every_view_demands_scopes(settings: Any) -> None:
    settings.ROOT_URLCONF = (path("closed/", api(READ)), path("people/", api(IsAuthenticated)))
    out = StringIO()
    call_command("show_access", "--open", stdout=out)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("view", "middleware", "is_open"),
    [
        (api(IsAuthenticated), [], True),
        (plain, [], False),
        (plain, [MIDDLEWARE], True),
        (api(IsAuthenticated, authentication_classes=[SessionAuthentication]), [], False),
        (api(IsAuthenticated, authentication_classes=[SessionAuthentication]), [MIDDLEWARE], True),
    ],
)
def test_setting_opens_what_a_key_reaches(
    settings: Any, view: Any, middleware: list[str], is_open: bool
) -> None:
    settings.ROOT_URLCONF = (path("", view),)
    settings.MIDDLEWARE = ["tests.plain_django.neighbours.does_nothing", *middleware]
    with pikku_settings(UNSCOPED_VIEWS="open"):
        assert {row["open"] for row in listed()} == {is_open}


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "lines"), [("40", 4), ("200", 2)])
def test_narrow_terminal_gets_two_lines_a_row(
    settings: Any, monkeypatch: pytest.MonkeyPatch, columns: str, lines: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    settings.ROOT_URLCONF = (path("a/rather/long/route/", require_principal(plain)),)
    terminal = Terminal()
    call_command("show_access", stdout=terminal)
    assert len(terminal.getvalue().splitlines()) == lines


def test_pipe_gets_one_line_a_row(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    settings.ROOT_URLCONF = ONE_OPEN
    out = StringIO()
    call_command("show_access", stdout=out)
    assert len(out.getvalue().splitlines()) == 5


def test_project_without_routes_shows_nothing(settings: Any) -> None:
    settings.ROOT_URLCONF = ()
    assert listed() == []
