"""What an API's OpenAPI document says of keys and scopes."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
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
