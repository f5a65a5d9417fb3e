"""Ninja's own throttles, which know a caller by ``str(request.auth)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import path
from ninja.throttling import AuthRateThrottle

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]

api = PikkuNinjaAPI(
    auth=PikkuNinjaAuth(scopes=[]), throttle=AuthRateThrottle("1/d"), urls_namespace="throttled"
)
api.get("/")(lambda request: None)

urlpatterns = [path("", api.urls)]


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


def ask(headers: dict[str, str], **others: str) -> int:
    return Client().get("/", headers={**headers, **others}).status_code


def test_each_credential_has_a_bucket_of_its_own(mint: Mint, make_user: Callable[..., Any]) -> None:
    first, second = key_headers(mint()), key_headers(mint())
    login = bearer(logged_in(make_user("ada")))
    assert [ask(caller) for caller in (first, second, login)] == [200, 200, 200]
    assert [ask(caller) for caller in (first, second, login)] == [429, 429, 429]


def test_what_the_mapping_says_of_a_key_does_not_give_it_another(mint: Mint) -> None:
    headers = key_headers(mint())
    with pikku_settings(MAP_KEY="tests.mappings.note"):
        assert ask(headers, **{"X-Tenant": "acme"}) == 200
        assert ask(headers, **{"X-Tenant": "globex"}) == 429
