"""What docs/multi-tenant.md shows; tests/flows/test_tenants.py proves schemas and databases."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from pikku_auth.decorators import require_principal
from pikku_auth.testing import key_headers, mint_test_key
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run


@pytest.fixture
def mapping(shop: dict[str, Any]) -> str:
    """The dotted path of the page's function."""
    function, setting, _ = examples("multi-tenant.md")
    vars(sys.modules["shop.mapping"]).update(run(function, {}))
    named: str = run(setting, {})["PIKKU_AUTH"]["MAP_KEY"]
    return named


@require_principal
def tell(request: HttpRequest) -> JsonResponse:
    principal: Any = request.principal  # type: ignore[attr-defined]  # set by the decorator
    return JsonResponse(dict(principal.claims))


def claims_of(issued: Any) -> Any:
    return Client(headers=key_headers(issued)).get("/tell/").json()


def test_the_tenant_of_a_key_is_in_its_claims(
    shop: dict[str, Any], mapping: str, settings: Any
) -> None:
    settings.ROOT_URLCONF = (path("tell/", tell),)
    acme, globex = (shop["Customer"].objects.create(name=name) for name in ("Acme", "Globex"))
    with pikku_settings(SCOPES=None, MAP_KEY=mapping):
        for customer in (acme, globex):
            issued = shop["mint_for"](customer, "till", ["order:read"], None)
            assert claims_of(issued) == {"tenant": customer.pk}
        assert claims_of(mint_test_key(["order:read"], service="operations")) == {}


def test_our_app_is_beside_the_users() -> None:
    *_, apps = examples("multi-tenant.md")
    names = run(apps, {})
    assert {"django.contrib.auth", "pikku_auth"} <= set(names["TENANT_APPS"])
    assert "pikku_auth" not in names["SHARED_APPS"]
    assert len(names["INSTALLED_APPS"]) == len(set(names["INSTALLED_APPS"]))
