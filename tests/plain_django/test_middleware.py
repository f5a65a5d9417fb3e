"""``PikkuAuthMiddleware``: every view knows its caller, under WSGI and under ASGI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.sync import sync_to_async as real
from django.conf import settings as configured
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.test import AsyncClient

from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, authentication, revoke_key, revoke_login
from pikku_auth.http.access import access_to_plain
from pikku_auth.http.routes import Route
from pikku_auth.middleware import PikkuAuthMiddleware
from pikku_auth.models import APIKey
from tests.cases import in_turn
from tests.conftest import pikku_settings
from tests.logins import browser_of, logged_in
from tests.plain_django import views
from tests.plain_django.conftest import Ask

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
OURS = "pikku_auth.middleware.PikkuAuthMiddleware"
PATHS = ["/whoami/", "/awhoami/"]
wherever_listed = pytest.mark.parametrize("_listed", ["last", "before CSRF"], indirect=True)


@pytest.fixture(autouse=True)
def _listed(request: pytest.FixtureRequest, settings: Any) -> None:
    """Last, or where the test says."""
    others = [name for name in configured.MIDDLEWARE if "Csrf" not in name]
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    listed = getattr(request, "param", "last")
    settings.MIDDLEWARE = [*others, csrf, OURS] if listed == "last" else [*others, OURS, csrf]


@pytest.mark.parametrize("path", PATHS)
def test_a_keys_caller_is_its_service_user(ask: Ask, mint: Mint, path: str) -> None:
    issued = mint()
    user: Any = issued.key.service_user.user
    answer = ask(path, x_api_key=issued.secret.reveal()).json()
    assert answer == {"user": user.get_username(), "via": "api_key"}


@pytest.mark.parametrize("path", PATHS)
def test_a_logins_caller_is_its_human(ask: Ask, make_user: Any, path: str) -> None:
    issued = logged_in(make_user("ada"))
    answer = ask(path, authorization=f"Bearer {issued.token.reveal()}").json()
    assert answer == {"user": issued.login.user.get_username(), "via": "login"}


@pytest.mark.parametrize("path", PATHS)
def test_without_a_credential_the_session_says_who_it_is(
    ask: Ask, make_user: Any, path: str
) -> None:
    user = make_user("ada")
    assert ask(path).json() == {"user": None, "via": None}
    answer = ask(path, cookies=browser_of(user).cookies).json()
    assert answer == {"user": user.get_username(), "via": None}


@pytest.mark.parametrize("path", PATHS)
def test_a_key_goes_before_the_session_and_leaves_it_alone(
    ask: Ask, make_user: Any, mint: Mint, path: str
) -> None:
    human, issued = browser_of(make_user("ada")), mint()
    before = dict(human.session)
    answer = ask(path, cookies=human.cookies, x_api_key=issued.secret.reveal())
    assert answer.json()["via"] == "api_key"
    assert dict(human.session) == before
    assert before[SESSION_KEY]


@wherever_listed
@pytest.mark.parametrize(
    ("path", "key"),
    in_turn([*PATHS, "/anybody/", "/nowhere/"], ["", " ", "pka_x", "pka_" + "0" * 49]),
)
def test_a_bad_key_is_refused_whatever_else_is_there(
    ask: Ask, make_user: Any, path: str, key: str
) -> None:
    human, login = browser_of(make_user("ada")), logged_in(make_user("grace"))
    response = ask(
        path, cookies=human.cookies, x_api_key=key, authorization=f"Bearer {login.token.reveal()}"
    )
    assert response.status_code == 401
    assert response.json() == {"detail": "Invalid API key.", "code": "invalid_key"}
    assert response["WWW-Authenticate"] == 'ApiKey realm="api"'
    assert response["Cache-Control"] == "no-store"


def test_a_browser_gets_a_page(ask: Ask, mint: Mint) -> None:
    response = ask("/whoami/", x_api_key="pka_x", accept="text/html,application/xhtml+xml")
    assert response.status_code == 401
    assert "<h1>Invalid API key.</h1>" in response.content.decode()
    assert "Accept" in response["Vary"]


@pytest.mark.parametrize("path", PATHS)
def test_no_cache_gives_one_callers_answer_to_another(ask: Ask, mint: Mint, path: str) -> None:
    for headers in ({}, {"x_api_key": mint().secret.reveal()}, {"x_api_key": "pka_x"}):
        varies = ask(path, **headers)["Vary"]
        assert {"x-api-key", "Authorization"} <= set(varies.split(", "))


@wherever_listed
@pytest.mark.parametrize("path", PATHS)
def test_a_csrf_token_is_asked_of_a_cookie_and_not_of_a_header(
    ask: Ask, make_user: Any, mint: Mint, path: str
) -> None:
    human = browser_of(make_user("ada"))
    assert ask(path, method="post", cookies=human.cookies).status_code == 403
    key = mint().secret.reveal()
    assert ask(path, method="post", cookies=human.cookies, x_api_key=key).status_code == 200
    assert ask(path, method="post", cookies=human.cookies, x_api_key="x").status_code == 401


def test_our_own_endpoints_judge_for_themselves(ask: Ask, make_user: Any, mint: Mint) -> None:
    issued = logged_in(make_user("ada"))
    revoke_login(issued.login)
    dead = f"Bearer {issued.token.reveal()}"
    assert ask("/auth/sign-out", method="post", authorization=dead).status_code == 200
    assert ask("/auth/get-session", authorization=dead).json() is None
    refused = ask("/auth/list-sessions", x_api_key="pka_x").json()
    assert refused == {"message": "Unauthorized", "code": "UNAUTHORIZED"}
    assert ask("/auth/activate", x_api_key="pka_x").json()["code"] == "browser_session_required"


def test_what_follows_finds_the_caller_judged(ask: Ask, mint: Mint) -> None:
    issued = mint(quota=5, scopes=["sandbox:read"])
    assert ask("/api/sandboxes/", x_api_key=issued.secret.reveal()).status_code == 200
    assert APIKey.objects.get().remaining == 4


def test_djangos_own_demand_for_a_login_accepts_a_principal(
    ask: Ask, mint: Mint, settings: Any
) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    assert ask("/whoami/", x_api_key=mint().secret.reveal()).status_code == 200
    assert ask("/whoami/").status_code == 302
    assert ask("/anybody/").status_code == 401


def test_a_revoked_key_is_refused_from_the_next_request_on(ask: Ask, mint: Mint) -> None:
    issued = mint()
    assert ask("/whoami/", x_api_key=issued.secret.reveal()).status_code == 200
    revoke_key(issued.key)
    assert ask("/whoami/", x_api_key=issued.secret.reveal()).status_code == 401


@pytest.mark.parametrize(("hook", "hops"), [(None, 1), ("anote", 1), ("note", 2)])
def test_only_the_database_and_a_sync_mapping_take_a_thread(
    mint: Mint, settings: Any, monkeypatch: pytest.MonkeyPatch, hook: str | None, hops: int
) -> None:
    settings.ROOT_URLCONF = "tests.plain_django.urls"
    settings.MIDDLEWARE = [OURS]
    asked: list[Any] = []

    def counted(function: Any) -> Any:
        asked.append(function)
        return real(function)

    for module in (authentication, authentication.amapped.__globals__["__name__"]):
        monkeypatch.setattr(f"{getattr(module, '__name__', module)}.sync_to_async", counted)
    secret = mint().secret.reveal()

    async def call(key: str) -> int:
        response = await AsyncClient().get("/awriter/", headers={"x-api-key": key})
        return int(response.status_code)

    with pikku_settings(MAP_KEY=hook and f"tests.mappings.{hook}"):
        assert async_to_sync(call)(secret) == 403
    assert len(asked) == hops


class NotBelowWebhooks(PikkuAuthMiddleware):
    """A host's own, which names paths."""

    def is_exempt(self, request: HttpRequest) -> bool:
        return request.path.startswith("/whoami") or super().is_exempt(request)


EXEMPT = ["/webhook/", "/awebhook/", "/webhook-class/"]
FOREIGN: list[dict[str, str]] = [
    {"x_api_key": "the-vendors-own-secret"},
    {"x_api_key": ""},
    {"authorization": f"Bearer {generate('pks').reveal()}"},
]


@pytest.mark.parametrize("path", EXEMPT)
@pytest.mark.parametrize("headers", FOREIGN)
def test_exempt_view_takes_the_keys_of_other_systems(
    ask: Ask, make_user: Any, path: str, headers: dict[str, str]
) -> None:
    assert ask(path, **headers).json() == {"user": None, "via": None}
    assert ask("/whoami/", **headers).status_code == 401
    user = make_user("ada")
    answer = ask(path, **headers, cookies=browser_of(user).cookies).json()
    assert answer == {"user": user.get_username(), "via": None}


@pytest.mark.parametrize("path", EXEMPT)
def test_exempt_view_has_no_principal_for_a_good_key(ask: Ask, mint: Mint, path: str) -> None:
    issued = mint(quota=5)
    assert ask(path, x_api_key=issued.secret.reveal()).json() == {"user": None, "via": None}
    issued.key.refresh_from_db()
    assert issued.key.remaining == 5


def test_subclass_exempts_paths(ask: Ask, settings: Any) -> None:
    own = f"{__name__}.NotBelowWebhooks"
    settings.MIDDLEWARE = [own if name == OURS else name for name in settings.MIDDLEWARE]
    for path in ("/whoami/", *EXEMPT):
        assert ask(path, **FOREIGN[0]).status_code == 200
    assert ask("/awhoami/", **FOREIGN[0]).status_code == 401


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_exempt_view_is_listed_as_closed_to_keys(settings: Any, mode: str) -> None:
    settings.PIKKU_AUTH = {"UNSCOPED_VIEWS": mode}
    for view in (views.webhook, views.Webhook.as_view()):
        route = Route("webhook/", view, "")
        assert [entry.takes_keys and entry.is_open for entry in access_to_plain(route)] == [False]
