"""What an API's OpenAPI document says of keys and scopes."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.permissions import AllowAny, IsAdminUser
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


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [
        (HasScope("a:b") & HasScope("c:d"), ["a:b", "c:d"]),
        ((HasScope("a:b") | IsAdminUser) & HasScope("c:d"), ["a:b", "c:d"]),
        (HasScope("a:b") & ~HasScope("c:d"), ["a:b"]),
        (AllowAny, []),
    ],
)
def test_scopes_are_found_in_compositions(permission: Any, scopes: list[str]) -> None:
    from django.urls import path

    class View(APIView):
        """Anything."""

        authentication_classes = [PikkuAuthentication]
        permission_classes = [permission]

        def get(self, request: Request) -> Response:
            """Anything."""
            raise NotImplementedError

    patterns = [path("anything/", View.as_view())]
    document = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    assert {"apiKey": scopes} in document["paths"]["/anything/"]["get"]["security"]
