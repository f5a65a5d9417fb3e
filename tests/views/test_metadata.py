"""What clients can find out by themselves: RFC 8414, and RFC 9728."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path, set_script_prefix
from pytest_django import Settings

from pikku_auth.http.issuer import resource_metadata
from tests.conftest import pikku_settings

ISSUER = "https://app.example.com"
WELL_KNOWN = path(".well-known/", include("pikku_auth.well_known"))
AUTH = path("auth/", include("pikku_auth.urls"))
SERVER = "/.well-known/oauth-authorization-server"
RESOURCE = "/.well-known/oauth-protected-resource"


@pytest.fixture(autouse=True)
def _mounted(settings: Settings) -> Any:
    settings.ROOT_URLCONF = (WELL_KNOWN, AUTH, path("", lambda request: HttpResponse()))
    with pikku_settings(ISSUER=ISSUER, SCOPES={"sandbox": ["read", "write"]}):
        yield


def told(address: str, **headers: str) -> Any:
    answer = Client().get(address, headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/json"
    return answer.json()


def test_authorization_server_tells_what_is_mounted() -> None:
    assert told(SERVER) == {
        "issuer": ISSUER,
        "device_authorization_endpoint": f"{ISSUER}/auth/device/code",
        "token_endpoint": f"{ISSUER}/auth/device/token",
        "token_endpoint_auth_methods_supported": ["none"],
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"],
        "response_types_supported": [],
        "introspection_endpoint": f"{ISSUER}/auth/introspect",
        "revocation_endpoint": f"{ISSUER}/auth/revoke",
        "revocation_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": ["sandbox:read", "sandbox:write"],
    }


def test_resource_tells_who_gives_tokens_for_it() -> None:
    assert told(RESOURCE) == {
        "resource": ISSUER,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["sandbox:read", "sandbox:write"],
        "bearer_methods_supported": ["header"],
    }


@pytest.mark.parametrize("scopes", [None, {}])
def test_scopes_that_are_not_declared_are_not_told(scopes: Any) -> None:
    with pikku_settings(ISSUER=ISSUER, SCOPES=scopes):
        assert "scopes_supported" not in told(SERVER) | told(RESOURCE)


def test_endpoints_that_are_not_mounted_are_not_told(settings: Settings) -> None:
    settings.ROOT_URLCONF = (WELL_KNOWN,)
    assert Client().get(SERVER).status_code == 404
    assert "authorization_servers" not in told(RESOURCE)


def test_the_addresses_follow_the_urlconf(settings: Settings) -> None:
    settings.ROOT_URLCONF = (WELL_KNOWN, path("accounts/", include("pikku_auth.urls")))
    assert told(SERVER)["token_endpoint"] == f"{ISSUER}/accounts/device/token"


def test_the_request_says_nothing_of_the_addresses(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.USE_X_FORWARDED_HOST = True
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    assert told(SERVER, **evil) == told(SERVER)
    assert told(RESOURCE, **evil) == told(RESOURCE)


@pytest.mark.parametrize("issuer", [f"{ISSUER}/one/two", f"{ISSUER}/one/two/"])
@pytest.mark.parametrize("address", [SERVER, RESOURCE])
def test_path_of_the_issuer_comes_last(issuer: str, address: str) -> None:
    with pikku_settings(ISSUER=issuer):
        answer = told(f"{address}/one/two")
        assert issuer in (answer.get("issuer"), answer.get("resource"))
        for other in ("", "/one", "/one/two/three", "/two"):
            assert Client().get(f"{address}{other}").status_code == 404
        assert resource_metadata() == f"{ISSUER}{RESOURCE}/one/two"


def test_path_of_the_issuer_may_be_encoded() -> None:
    with pikku_settings(ISSUER=f"{ISSUER}/caf%C3%A9"):
        assert told(f"{SERVER}/caf%C3%A9")["issuer"] == f"{ISSUER}/caf%C3%A9"


def test_issuer_may_end_with_a_slash() -> None:
    with pikku_settings(ISSUER=f"{ISSUER}/"):
        assert told(SERVER)["issuer"] == f"{ISSUER}/"
        assert told(SERVER)["token_endpoint"] == f"{ISSUER}/auth/device/token"
        assert resource_metadata() == f"{ISSUER}{RESOURCE}"


def test_issuer_without_a_path_has_metadata_without_one() -> None:
    assert Client().get(f"{SERVER}/one").status_code == 404


def test_nothing_is_told_without_an_issuer() -> None:
    with pikku_settings(ISSUER=None):
        assert Client().get(SERVER).status_code == 404
        assert Client().get(RESOURCE).status_code == 404
        assert resource_metadata() is None


def test_site_below_a_prefix_has_it_in_its_addresses() -> None:
    set_script_prefix("/app/")
    try:
        answer = Client().get(SERVER, SCRIPT_NAME="/app")
        assert answer.json()["token_endpoint"] == f"{ISSUER}/app/auth/device/token"
    finally:
        set_script_prefix("/")


def test_metadata_is_for_anybody_who_asks() -> None:
    for credential in ({}, {"x-api-key": "nonsense"}, {"Authorization": "Bearer pks_nonsense"}):
        assert told(RESOURCE, **credential)["resource"] == ISSUER
    assert Client().post(RESOURCE).status_code == 404
    assert Client().head(RESOURCE).status_code == 200


def test_metadata_is_for_anybody_behind_the_middleware(settings: Settings) -> None:
    middleware = [*settings.MIDDLEWARE, "pikku_auth.middleware.PikkuAuthMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        assert told(RESOURCE, Authorization="Bearer pks_nonsense")["resource"] == ISSUER
