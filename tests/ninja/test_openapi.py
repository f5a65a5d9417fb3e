"""What an API's OpenAPI document says of keys, logins and scopes."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.validation import validate_schema
from ninja import NinjaAPI, Router
from ninja.security import django_auth

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from tests.conftest import pikku_settings

BOTH = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "A machine's API key. When present, it alone decides.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A human's login token, from `pikku-auth login`.",
    },
}


def told(request: Any) -> dict[str, str]:
    raise NotImplementedError


def document_of(api: NinjaAPI) -> Any:
    return json.loads(json.dumps(api.get_openapi_schema(path_prefix="/")))


def document(auth: Any) -> Any:
    api = PikkuNinjaAPI()
    api.get("/told", auth=auth)(told)
    return document_of(api)


def operation(auth: Any) -> Any:
    return document(auth)["paths"]["/told"]["get"]


def test_both_credentials_are_described() -> None:
    assert document(PikkuNinjaAuth())["components"]["securitySchemes"] == BOTH


def test_the_header_may_be_named_otherwise() -> None:
    with pikku_settings(KEY_HEADER="X-Machine-Key"):
        schemes = document(PikkuNinjaAuth())["components"]["securitySchemes"]
    assert schemes["apiKey"]["name"] == "X-Machine-Key"


def test_either_credential_does_with_the_scopes_that_are_wanted() -> None:
    scopes = ["sandbox:read", "sandbox:write"]
    assert operation(PikkuNinjaAuth(scopes=scopes))["security"] == [
        {"apiKey": scopes},
        {"bearer": scopes},
    ]


def test_another_credential_is_shown_beside_ours() -> None:
    assert operation([PikkuNinjaAuth(), django_auth])["security"] == [
        {"SessionAuth": []},
        {"apiKey": []},
        {"bearer": []},
    ]


def test_refusals_are_among_the_answers() -> None:
    answers = operation(PikkuNinjaAuth())["responses"]
    assert set(answers) == {"200", "401", "403", "429", "503"}
    assert answers["503"] == {
        "description": "Service Unavailable",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PikkuAuthRefusal"}}
        },
    }


def test_what_the_operation_says_of_a_refusal_itself_stands() -> None:
    api = PikkuNinjaAPI(auth=PikkuNinjaAuth())
    api.get("/told", response={200: None, 403: str})(told)
    answers = document_of(api)["paths"]["/told"]["get"]["responses"]
    assert answers["403"]["content"]["application/json"]["schema"]["type"] == "string"


def test_an_operation_that_is_open_to_all_is_as_ninja_describes_it() -> None:
    assert "security" not in operation(None)
    assert set(operation(None)["responses"]) == {"200"}


def test_operations_of_routers_are_described_too() -> None:
    api, router = PikkuNinjaAPI(auth=PikkuNinjaAuth(scopes=["sandbox:read"])), Router()
    api.add_router("more/", router)
    router.get("told")(told)
    described = document_of(api)["paths"]["/more/told"]["get"]
    assert {"apiKey": ["sandbox:read"]} in described["security"]


def test_the_document_is_valid() -> None:
    validate_schema(document([PikkuNinjaAuth(scopes=["sandbox:write"]), django_auth]))


def test_it_is_served(client: Any, settings: Any) -> None:
    from django.urls import path

    api = PikkuNinjaAPI(auth=PikkuNinjaAuth(), urls_namespace="described")
    api.get("/told")(told)
    settings.ROOT_URLCONF = (path("api/", api.urls),)
    served = client.get("/api/openapi.json").json()
    assert served["components"]["securitySchemes"] == BOTH
    assert list(served["paths"]) == ["/api/told"]
