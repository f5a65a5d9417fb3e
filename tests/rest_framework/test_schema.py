"""What an API's OpenAPI document says of keys and scopes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.urls import NoReverseMatch, get_script_prefix, include, path, set_script_prefix
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema
from rest_framework.authentication import (
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from pikku_auth.rest_framework.schema import add_endpoints
from tests import openapi
from tests.docs.pages import names_of


@pytest.fixture
def schema() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator(urlconf="example_project.urls").get_schema(
        request=None, public=True
    )
    return document


def test_both_headers_are_described(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert schemes["apiKey"]["in"] == "header"
    assert schemes["apiKey"]["name"] == "x-api-key"
    assert schemes["bearer"] == {**schemes["bearer"], "type": "http", "scheme": "bearer"}


@pytest.mark.parametrize(
    ("path", "method", "scopes"),
    [
        ("/api/sandboxes/", "get", ["sandbox:read"]),
        ("/api/sandboxes/", "post", ["sandbox:write"]),
        ("/api/whoami/", "get", []),
    ],
)
def test_each_operation_names_the_scopes_it_needs(
    schema: dict[str, Any], path: str, method: str, scopes: list[str]
) -> None:
    security = schema["paths"][path][method]["security"]
    assert {"apiKey": scopes} in security
    assert {"bearer": scopes} in security


def test_the_document_is_valid(schema: dict[str, Any]) -> None:
    validate_schema(schema)


def test_the_schema_and_its_page_are_served(api: APIClient) -> None:
    assert api.get("/api/schema/").status_code == 200
    assert b"swagger-ui" in api.get("/api/docs/").content


Security = list[dict[str, list[str]]]


def security_of(permission: Any, *authentication: Any) -> Security:
    """What the document says of a view with that permission."""

    class View(APIView):
        """Anything."""

        authentication_classes = authentication
        permission_classes = [permission]

        def get(self, request: Request) -> Response:
            """Anything."""
            raise NotImplementedError

    patterns = [path("anything/", View.as_view())]
    document = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    security: Security = document["paths"]["/anything/"]["get"]["security"]
    return security


READ = HasScope("a:b")


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [
        (READ & HasScope("c:d"), ["a:b", "c:d"]),
        ((READ | IsAdminUser) & HasScope("c:d"), ["a:b", "c:d"]),
        (READ & ~HasScope("c:d"), ["a:b"]),
    ],
)
def test_scopes_are_found_in_compositions(permission: Any, scopes: list[str]) -> None:
    assert {"apiKey": scopes} in security_of(permission, PikkuAuthentication)


@pytest.mark.parametrize("permission", [IsAuthenticated, AllowAny])
def test_key_is_offered_only_where_it_comes_in(permission: Any, settings: Any) -> None:
    assert {"apiKey": []} not in security_of(permission, PikkuAuthentication)
    assert {"bearer": []} in security_of(permission, PikkuAuthentication)
    settings.PIKKU_AUTH = {"UNSCOPED_VIEWS": "open"}
    assert {"apiKey": []} in security_of(permission, PikkuAuthentication)


@pytest.mark.parametrize(
    ("way_in", "name"),
    [
        (SessionAuthentication, "cookieAuth"),
        (BasicAuthentication, "basicAuth"),
        (TokenAuthentication, "tokenAuth"),
    ],
)
def test_way_in_without_scopes_is_offered_only_where_it_passes(way_in: Any, name: str) -> None:
    for closed in (READ, READ & IsAdminUser, READ | HasScope("c:d")):
        assert {name: []} not in security_of(closed, PikkuAuthentication, way_in)
    for opened in (READ | IsAdminUser, ~READ, IsAuthenticated):
        assert {name: []} in security_of(opened, PikkuAuthentication, way_in)


def test_subclass_of_ours_is_described_as_ours() -> None:
    class Renamed(PikkuAuthentication):
        www_authenticate_realm = "ours"

    assert {"apiKey": ["a:b"]} in security_of(READ, Renamed)


class TestTheEndpoints:
    """``add_endpoints`` among ``POSTPROCESSING_HOOKS``."""

    @pytest.fixture(params=["3.0.3", "3.1.0"])
    def document(self, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
        with hooked(OAS_VERSION=request.param):
            yield described()

    def test_they_are_where_they_are_mounted(self, document: dict[str, Any]) -> None:
        ours = {f"/auth{path}" for path in openapi.document()["paths"]}
        assert ours < {*document["paths"]}
        assert "/api/sandboxes/" in document["paths"]

    def test_the_document_is_valid(self, document: dict[str, Any]) -> None:
        validate_schema(document)

    def test_each_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
            assert name in document["components"]["schemas"]

    def test_what_may_be_null_says_so(self, document: dict[str, Any]) -> None:
        name = document["components"]["schemas"]["PikkuAuthKey"]["properties"]["name"]
        if document["openapi"] == "3.1.0":
            assert name == {"type": ["string", "null"]}
        else:
            assert name == {"type": "string", "nullable": True}

    def test_an_operation_of_ours_and_one_of_the_project_ask_alike(
        self, document: dict[str, Any]
    ) -> None:
        assert {"apiKey", "bearer", "cookieAuth"} <= {*document["components"]["securitySchemes"]}
        assert {"apiKey": ["auth:mint"]} in document["paths"]["/auth/api-key/create"]["post"][
            "security"
        ]

    def test_names_are_those_of_the_settings(self, settings: Any) -> None:
        settings.PIKKU_AUTH = {"KEY_HEADER": "x-machine-key"}
        settings.SESSION_COOKIE_NAME = "humans"
        with hooked():
            schemes = described(patterns=[])["components"]["securitySchemes"]
        assert schemes["apiKey"]["name"] == "x-machine-key"
        assert schemes["cookieAuth"]["name"] == "humans"

    def test_what_the_project_describes_itself_stays(self) -> None:
        own = {"openapi": "3.1.0", "paths": {"/auth/ok": {}}, "components": {}}
        assert add_endpoints(own, None, None, public=True)["paths"]["/auth/ok"] == {}

    @pytest.mark.urls(__name__)
    def test_they_may_be_mounted_at_the_root(self) -> None:
        with hooked():
            assert "/api-key/create" in described(patterns=[])["paths"]

    def test_a_path_of_the_server_is_not_in_theirs_as_in_no_other(self) -> None:
        with hooked(), script_prefix("/site/"):
            assert {"/auth/ok", "/api/sandboxes/"} < {*described()["paths"]}

    def test_a_path_of_a_proxy_is_before_all(self) -> None:
        with hooked(SCHEMA_PATH_PREFIX_INSERT="/proxied"):
            assert {"/proxied/auth/ok", "/proxied/api/sandboxes/"} < {*described()["paths"]}

    def test_a_project_that_has_not_mounted_them_hears_so(self, settings: Any) -> None:
        settings.ROOT_URLCONF = "pikku_auth.well_known"
        with hooked(), pytest.raises(NoReverseMatch):
            described(patterns=[])


urlpatterns = [path("", include("pikku_auth.urls"))]


def described(**options: Any) -> dict[str, Any]:
    """The document of the example project, or of other routes."""
    document: dict[str, Any] = SchemaGenerator(**options).get_schema(request=None, public=True)
    return document


@contextmanager
def script_prefix(prefix: str) -> Iterator[None]:
    """As a request to ``SCRIPT_NAME`` sets it."""
    before = get_script_prefix()
    set_script_prefix(prefix)
    try:
        yield
    finally:
        set_script_prefix(before)


@contextmanager
def hooked(**others: str) -> Iterator[None]:
    """As docs/openapi.md says to set it."""
    given: dict[str, Any] = names_of("openapi.md")["SPECTACULAR_SETTINGS"]
    with patched_settings(given | others):
        yield
