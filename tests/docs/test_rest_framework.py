"""What docs/rest-framework.md shows, asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.views import APIView

from example_project.sandboxes.models import Sandbox
from example_project.sandboxes.views import Sandboxes as OfTheExample
from example_project.sandboxes.views import SandboxSerializer
from pikku_auth import checks
from pikku_auth.core.secrets import generate
from pikku_auth.decorators import any_key
from pikku_auth.testing import client_with_key
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run
from tests.logins import BACKEND

pytestmark = pytest.mark.django_db

ASKED = {"get": "list", "post": "create", "delete": "destroy", "options": "options"}
URL = "/it/"


def serve(settings: Any, view: Any) -> None:
    settings.ROOT_URLCONF = (path(URL.strip("/") + "/", view),)


def viewset(settings: Any, example: str, **actions: str) -> None:
    """Serve the ``Sandboxes`` of the example, which has a host's model now."""

    class OfTheHost(run(example, {})["Sandboxes"]):  # type: ignore[misc]  # a class of the page
        queryset = Sandbox.objects.all()
        serializer_class = SandboxSerializer
        perform_create = OfTheExample.perform_create

        def restart(self, request: Request) -> Response:
            return Response({"restarted": True})

    serve(settings, OfTheHost.as_view(actions or ASKED))


def test_the_settings_let_a_key_in_and_hide_no_bad_one(
    settings: Any, make_user: Callable[..., Any]
) -> None:
    setting, *_ = examples("rest-framework.md")
    session = "rest_framework.authentication.SessionAuthentication"
    closed = "rest_framework.permissions.IsAuthenticated"
    before = {"DEFAULT_AUTHENTICATION_CLASSES": [session], "DEFAULT_PERMISSION_CLASSES": [closed]}
    given = {"REST_FRAMEWORK": before}
    settings.REST_FRAMEWORK = run(setting, given)["REST_FRAMEWORK"]

    @any_key
    class WhoAmI(APIView):
        authentication_classes = api_settings.DEFAULT_AUTHENTICATION_CLASSES

        def get(self, request: Request) -> Response:
            return Response(type(request.auth).__name__)

    serve(settings, WhoAmI.as_view())
    assert checks.check_host() == []
    assert client_with_key().get(URL).json() == "Principal"
    browser = APIClient()
    browser.force_login(make_user(), BACKEND)
    assert browser.get(URL).json() == "NoneType"
    bad = browser.get(URL, headers={"x-api-key": generate("pka").reveal()})
    assert (bad.status_code, bad["WWW-Authenticate"]) == (401, 'ApiKey realm="api"')


def test_one_scope_is_demanded_for_all(settings: Any) -> None:
    _, one, *_ = examples("rest-framework.md")
    viewset(settings, one)
    assert client_with_key(["sandbox:read"]).get(URL).status_code == 200
    assert client_with_key(["sandbox:write"]).get(URL).status_code == 403


def test_each_method_has_its_scope(settings: Any) -> None:
    _, one, table, *_ = examples("rest-framework.md")
    viewset(settings, f"{one}\n{table}")
    reader, writer = client_with_key(["sandbox:read"]), client_with_key(["sandbox:write"])
    assert [reader.get(URL).status_code, reader.head(URL).status_code] == [200, 200]
    assert reader.post(URL, {"name": "mine"}).status_code == 403
    assert writer.post(URL, {"name": "mine"}).status_code == 201
    assert client_with_key().options(URL).status_code == 200
    assert client_with_key(["*"]).delete(URL).status_code == 403


def test_an_action_has_its_own_before_its_methods(settings: Any) -> None:
    _, one, table, *_ = examples("rest-framework.md")
    viewset(settings, f"{one}\n{table}", post="restart")
    with pikku_settings(SCOPES=None):
        assert client_with_key(["sandbox:write"]).post(URL).status_code == 403
        assert client_with_key(["sandbox:operate"]).post(URL).status_code == 200


def test_staff_come_in_by_a_rule_of_their_own(settings: Any, make_user: Callable[..., Any]) -> None:
    _, one, _, rule, _ = examples("rest-framework.md")
    names = run(rule, run(one, {}))

    class Sandboxes(APIView):
        permission_classes = names["permission_classes"]

        def get(self, request: Request) -> Response:
            return Response()

    serve(settings, Sandboxes.as_view())
    statuses = {}
    for name, is_staff in (("ada", True), ("bob", False)):
        browser = APIClient()
        browser.force_login(make_user(name, is_staff=is_staff), BACKEND)
        statuses[name] = browser.get(URL).status_code
    assert statuses == {"ada": 200, "bob": 403}
    assert client_with_key(["sandbox:read"]).get(URL).status_code == 200
    assert client_with_key().get(URL).status_code == 403


def test_a_marked_view_is_for_any_key(settings: Any) -> None:
    *_, marked = examples("rest-framework.md")
    serve(settings, run(marked, {})["version"])
    assert client_with_key().get(URL).json() == {"version": "1.0"}
    assert APIClient().get(URL).status_code == 401
