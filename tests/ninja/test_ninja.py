"""``PikkuNinjaAuth`` of django-ninja: its statuses, its words, and what it leaves to others."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import get_ident
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import AsyncClient, Client
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import AuthenticationError
from ninja.security import django_auth

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
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


def api_of(name: str, kind: type[NinjaAPI] = PikkuNinjaAPI, **options: Any) -> NinjaAPI:
    api = kind(urls_namespace=name, **options)

    @api.api_operation(["GET", "POST"], "sync")
    def told(request: Any) -> dict[str, Any]:
        return {"user": request.user.get_username(), "auth": type(request.auth).__name__}

    @api.api_operation(["GET", "POST"], "async")
    async def atold(request: Any) -> dict[str, Any]:
        user = await request.auser()
        return {"user": user.get_username(), "auth": type(request.auth).__name__}

    return api


APIS = [
    api_of("guarded", auth=PikkuNinjaAuth(scopes=[])),
    api_of("scoped", auth=PikkuNinjaAuth(scopes=["sandbox:write"])),
    api_of("shared", auth=[PikkuNinjaAuth(scopes=[]), django_auth]),
    api_of("cookies", auth=django_auth),
    api_of("bare", NinjaAPI, auth=PikkuNinjaAuth(scopes=["sandbox:write"])),
]

urlpatterns = [path(f"{api.urls_namespace}/", api.urls) for api in APIS]

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
    """The same status, words and headers as in every other integration."""

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
        answer = ask("scoped", key_headers(mint(scopes=["sandbox:read"])))
        assert (answer.status_code, answer.json()) == (
            403,
            {"detail": "Missing scope: sandbox:write.", "code": "insufficient_scope"},
        )
        assert 'scope="sandbox:write"' in answer["WWW-Authenticate"]
        assert ask("scoped", key_headers(mint(scopes=["sandbox:write"]))).status_code == 200

    def test_an_api_of_ninjas_own_has_their_status_and_words(self, ask: Ask) -> None:
        answer = ask("bare", {"x-api-key": "nonsense"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key."})
        assert ask("bare").status_code == 401

    def test_where_pikku_auth_is_not_asked_ninja_has_its_own_words(self, ask: Ask) -> None:
        answer = ask("cookies")
        assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
        assert "WWW-Authenticate" not in answer

    def test_what_a_view_refuses_itself_is_left_as_it_is(self, mint: Mint, settings: Any) -> None:
        api = PikkuNinjaAPI(auth=PikkuNinjaAuth(scopes=[]), urls_namespace="refusing")

        @api.get("/")
        def refuses(request: Any) -> None:
            raise AuthenticationError(message="Sign again.")

        settings.ROOT_URLCONF = (path("", api.urls),)
        answer = Client().get("/", headers=key_headers(mint()))
        assert (answer.status_code, answer.json()) == (401, {"detail": "Sign again."})

    def test_it_commits_nothing(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in REST framework; and a lost connection must not make a 500 of a 503."""

        def writing(run: Any) -> Any:
            def written(request: Any) -> Any:
                get_user_model()._default_manager.create()
                return run(request)

            return written

        api = PikkuNinjaAPI(auth=PikkuNinjaAuth(scopes=[]), urls_namespace="writing")
        api.add_decorator(writing, mode="view")
        api.get("/")(lambda request: None)
        settings.ROOT_URLCONF = (path("", api.urls),)
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        assert Client().get("/").status_code == 401
        assert not get_user_model()._default_manager.exists()


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
        PikkuNinjaAuth(scopes=["sandbox write"])


class TestOnTheEventLoop:
    """An async operation."""

    def test_pikku_auth_is_asked_without_a_thread(self, mint: Mint, settings: Any) -> None:
        threads = []

        class Noting(PikkuNinjaAuth):
            def __call__(self, request: Any) -> Any:
                threads.append(get_ident())
                return super().__call__(request)

        api = PikkuNinjaAPI(auth=Noting(scopes=[]), urls_namespace="noting")

        @api.get("/")
        async def told(request: Any) -> None:
            threads.append(get_ident())

        settings.ROOT_URLCONF = (path("", api.urls),)
        async_to_sync(AsyncClient().get)("/", headers=key_headers(mint()))
        assert threads[0] == threads[1]


class TestBehindLoginRequiredMiddleware:
    """Django's, which sends whoever is not signed in to a page."""

    @pytest.fixture(autouse=True)
    def _required(self, settings: Any) -> None:
        required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, required]
        settings.LOGIN_URL = "/sign-in/"

    def test_a_key_gets_in(self, ask: Ask, mint: Mint) -> None:
        assert ask("guarded", key_headers(mint())).status_code == 200

    def test_nobody_is_refused_as_ever(self, ask: Ask) -> None:
        assert ask("guarded").status_code == 401

    def test_what_pikku_auth_does_not_guard_is_left_to_it(self, ask: Ask) -> None:
        assert ask("cookies").status_code == 302

    def test_a_path_that_it_guards_in_part_is_left_to_it(self, mint: Mint, settings: Any) -> None:
        api = PikkuNinjaAPI(auth=PikkuNinjaAuth(scopes=[]), urls_namespace="in part")
        api.get("/")(in_part := lambda request: "told")
        api.post("/", auth=None)(in_part)
        settings.ROOT_URLCONF = (path("", api.urls),)
        assert Client().post("/").status_code == 302
        assert Client().get("/", headers=key_headers(mint())).status_code == 302
