"""What docs/ninja.md shows, asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import path

from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.docs.pages import names_of
from tests.logins import browser_of

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


@pytest.fixture(scope="module")
def urls() -> Any:
    """Made once: ninja wants every API of a process to have a name of its own."""
    return (path("api/", names_of("ninja.md")["api"].urls),)


@pytest.fixture(autouse=True)
def _served(urls: Any, settings: Any) -> None:
    settings.ROOT_URLCONF = urls


def test_an_operation_knows_its_caller(mint: Mint) -> None:
    answer = Client().get("/api/whoami", headers=key_headers(mint()))
    assert answer.json()["via"] == "api_key"


@pytest.mark.parametrize(("scope", "status"), [("sandbox:read", 403), ("sandbox:write", 200)])
def test_an_operation_demands_its_scope(mint: Mint, scope: str, status: int) -> None:
    headers = key_headers(mint(scopes=[scope]))
    assert Client().post("/api/sandboxes", headers=headers).status_code == status


def test_news_are_for_keys_and_for_who_is_signed_in(
    mint: Mint, make_user: Callable[..., Any]
) -> None:
    ada = make_user("ada")
    browser = browser_of(ada)
    assert (
        Client().get("/api/news", headers=key_headers(mint(scopes=["sandbox:read"]))).status_code
        == 200
    )
    assert browser.get("/api/news").json() == {"for": ada.get_username()}
    assert browser.get("/api/whoami").status_code == 401
