"""``PikkuAuth`` of django-ninja: its statuses, its words, and what it leaves to others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import path
from ninja import NinjaAPI
from ninja.security import django_auth

from pikku_auth.contrib.ninja import LoginScheme, PikkuAuth, handle_refusals
from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import WidenedPermissions
from pikku_auth.flows import IssuedKey
from pikku_auth.models import APIKey
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.logins import bearer, browser_of, logged_in

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


def api_of(name: str, **options: Any) -> NinjaAPI:
    api = NinjaAPI(urls_namespace=name, **options)

    @api.api_operation(["GET", "POST"], "sync")
    def told(request: Any) -> dict[str, Any]:
        return {"user": request.user.get_username(), "auth": type(request.auth).__name__}

    @api.api_operation(["GET", "POST"], "async")
    async def atold(request: Any) -> dict[str, Any]:
        user = await request.auser()
        return {"user": user.get_username(), "auth": type(request.auth).__name__}

    return api


guarded = api_of("guarded", auth=[PikkuAuth(), LoginScheme()])
handle_refusals(guarded)
bare = api_of("bare", auth=PikkuAuth(scopes=["sandbox:write"]))
shared = api_of("shared", auth=[PikkuAuth(), django_auth])

urlpatterns = [
    path("guarded/", guarded.urls),
    path("bare/", bare.urls),
    path("shared/", shared.urls),
]

Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, settings: Any) -> Ask:
    """``ask("guarded", headers, method="get", cookies=…)``."""
    settings.ROOT_URLCONF = __name__

    def go(api: str, headers: Any = None, *, method: str = "get", cookies: Any = None) -> Any:
        url = f"/{api}/{request.param}"
        client: Any = (Client, AsyncClient)[request.param == "async"](enforce_csrf_checks=True)
        client.cookies = cookies or client.cookies
        send = getattr(client, method)
        if request.param == "async":
            send = async_to_sync(send)
        return send(url, headers=headers or {})

    return go


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


def test_a_key_gets_in(ask: Ask, mint: Mint) -> None:
    issued = mint()
    user: Any = issued.key.service_user.user
    answer = ask("guarded", key_headers(issued))
    assert answer.json() == {"user": user.get_username(), "auth": "Principal"}


def test_a_login_gets_in(ask: Ask, ada: Any) -> None:
    answer = ask("guarded", bearer(logged_in(ada)))
    assert answer.json() == {"user": ada.get_username(), "auth": "Principal"}


def test_no_csrf_token_is_asked_of_them(ask: Ask, mint: Mint) -> None:
    assert ask("shared", key_headers(mint()), method="post").status_code == 200


class TestRefusals:
    """The same status, words and headers as at every other door."""

    def test_without_a_credential(self, ask: Ask) -> None:
        answer = ask("guarded")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert answer["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'

    def test_with_a_bad_key(self, ask: Ask) -> None:
        answer = ask("guarded", {"x-api-key": generate("pka").reveal()})
        assert (answer.status_code, answer.json()) == (
            401,
            {"detail": "Invalid API key.", "code": "invalid_key"},
        )
        assert answer["WWW-Authenticate"] == 'ApiKey realm="api"'
        assert answer["Cache-Control"] == "no-store"
        assert {"x-api-key", "Authorization"} <= set(re.split(", ?", answer["Vary"]))

    def test_over_a_limit(self, ask: Ask, mint: Mint) -> None:
        headers = key_headers(mint(rate=parse_rate("1/d")))
        assert ask("guarded", headers).status_code == 200
        answer = ask("guarded", headers)
        assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)

    def test_without_the_scope(self, ask: Ask, mint: Mint) -> None:
        answer = ask("bare", key_headers(mint(permissions=["sandbox:read"])))
        assert (answer.status_code, answer.json()) == (
            403,
            {"detail": "Missing scope: sandbox:write."},
        )
        assert ask("bare", key_headers(mint(permissions=["sandbox:write"]))).status_code == 200

    def test_where_nobody_handles_them_they_have_their_status(self, ask: Ask) -> None:
        answer = ask("bare", {"x-api-key": "nonsense"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key."})
        assert ask("bare").status_code == 401


class TestBesideAnother:
    """In a list of ``auth``."""

    def test_the_next_is_asked_without_a_credential_of_ours(self, ask: Ask, ada: Any) -> None:
        cookies = browser_of(ada).cookies
        answer = ask("shared", cookies=cookies)
        assert answer.json()["user"] == ada.get_username()

    def test_the_next_is_not_asked_about_a_bad_one(self, ask: Ask, ada: Any) -> None:
        cookies = browser_of(ada).cookies
        for headers in ({"x-api-key": ""}, {"Authorization": "Bearer pks_nonsense"}):
            assert ask("shared", headers, cookies=cookies).status_code == 401


def test_what_the_mapping_raises_is_no_refusal(ask: Ask, mint: Mint) -> None:
    headers = key_headers(mint())
    with pikku_settings(MAP_KEY="tests.mappings.widen"), pytest.raises(WidenedPermissions):
        ask("guarded", headers)


def test_a_call_is_counted_once_behind_the_middleware(ask: Ask, mint: Mint, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "pikku_auth.middleware.PikkuAuthMiddleware"]
    answer = ask("guarded", key_headers(mint(quota=5)))
    assert "x-api-key" in answer["Vary"]
    assert APIKey.objects.get().remaining == 4


def test_a_misspelt_scope_is_found_at_start() -> None:
    with pytest.raises(ValueError, match="sandbox"):
        PikkuAuth(scopes=["sandbox write"])


def test_the_openapi_document_shows_both_credentials() -> None:
    schema: Any = guarded.get_openapi_schema(path_prefix="/")
    assert schema["components"]["securitySchemes"] == {
        "PikkuAuth": {
            "type": "apiKey",
            "in": "header",
            "name": "x-api-key",
            "description": "A machine's API key. When present, it alone decides.",
        },
        "LoginScheme": {
            "type": "http",
            "scheme": "bearer",
            "description": "A human's login token, from `pikku-auth login`.",
        },
    }
    (operation, *_) = schema["paths"]["/sync"].values()
    assert operation["security"] == [{"PikkuAuth": []}, {"LoginScheme": []}]
