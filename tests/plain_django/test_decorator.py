"""``@require_principal``: functions and classes, sync and async, with the middleware or without."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.test import Client

from pikku_auth.core.limits import parse_rate
from pikku_auth.decorators import require_principal
from pikku_auth.flows import IssuedKey, revoke_key
from tests.cases import in_turn
from tests.logins import browser_of, logged_in
from tests.plain_django import views
from tests.plain_django.conftest import Ask

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
OURS = "pikku_auth.middleware.PikkuAuthMiddleware"
WRITE = ["sandbox:write"]
KINDS = ["/writer/", "/awriter/", "/class/", "/aclass/", "/child/", "/achild/"]
SERVERS = ["wsgi", "asgi"]
MIDDLEWARES = ["with middleware", "alone"]
PLACES = list(product(SERVERS, MIDDLEWARES))


def kinds_in(rows: list[tuple[str, tuple[str, str]]]) -> pytest.MarkDecorator:
    """A kind of view, the server it runs in, and whether the middleware is there."""
    flat = [(path, server, middleware) for path, (server, middleware) in rows]
    return pytest.mark.parametrize(
        ("path", "ask", "_middleware"), flat, indirect=["ask", "_middleware"]
    )


every_kind_everywhere = kinds_in(list(product(KINDS, PLACES)))
every_kind = kinds_in(in_turn(KINDS, PLACES))


@pytest.fixture(autouse=True, params=MIDDLEWARES)
def _middleware(request: pytest.FixtureRequest, settings: Any) -> None:
    ours = [OURS] if request.param == "with middleware" else []
    settings.MIDDLEWARE = [*configured.MIDDLEWARE, *ours]


@every_kind_everywhere
def test_who_has_the_scope_comes_in(ask: Ask, mint: Mint, path: str) -> None:
    issued = mint(scopes=WRITE)
    user: Any = issued.key.service_user.user
    answer = ask(path, x_api_key=issued.secret.reveal()).json()
    assert answer == {"user": user.get_username(), "via": "api_key"}


@every_kind
def test_a_human_with_a_login_comes_in(ask: Ask, make_user: Any, path: str) -> None:
    issued = logged_in(make_user("ada"))
    assert ask(path, authorization=f"Bearer {issued.token.reveal()}").json()["via"] == "login"


@every_kind
def test_who_lacks_it_is_told_which(ask: Ask, mint: Mint, path: str) -> None:
    response = ask(path, x_api_key=mint(scopes=["sandbox:read"]).secret.reveal())
    assert response.status_code == 403
    assert response.json() == {
        "detail": "Missing scope: sandbox:write.",
        "code": "insufficient_scope",
    }
    assert response["WWW-Authenticate"] == (
        'ApiKey realm="api", error="insufficient_scope", scope="sandbox:write"'
    )


def test_a_login_that_lacks_it_is_told_in_its_own_scheme(ask: Ask, make_user: Any) -> None:
    issued = logged_in(make_user("ada"), scope="sandbox:read")
    response = ask("/writer/", authorization=f"Bearer {issued.token.reveal()}")
    assert response["WWW-Authenticate"].startswith('Bearer realm="api", error="insufficient_scope"')


@every_kind
def test_nobody_is_asked_for_a_credential(ask: Ask, make_user: Any, path: str) -> None:
    for cookies in (None, browser_of(make_user("ada")).cookies):
        response = ask(path, cookies=cookies)
        assert response.status_code == 401
        assert response.json()["code"] == "not_authenticated"
        assert response["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'


@every_kind_everywhere
def test_a_bad_credential_is_refused(ask: Ask, mint: Mint, path: str) -> None:
    issued = mint(scopes=WRITE)
    revoke_key(issued.key)
    assert ask(path, x_api_key=issued.secret.reveal()).json()["code"] == "invalid_key"
    bad = ask(path, authorization="Bearer pks_x")
    assert (bad.status_code, bad.json()["code"]) == (401, "invalid_token")
    assert bad["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


@every_kind
def test_from_another_network_it_is_403(ask: Ask, mint: Mint, path: str) -> None:
    issued = mint(scopes=WRITE, networks=["192.0.2.0/24"])
    response = ask(path, x_api_key=issued.secret.reveal())
    assert (response.status_code, response.json()["code"]) == (403, "network_not_allowed")


@every_kind
def test_over_a_limit_it_is_429_and_says_when_to_come_back(ask: Ask, mint: Mint, path: str) -> None:
    secret = mint(scopes=WRITE, rate=parse_rate("1/m")).secret.reveal()
    assert ask(path, x_api_key=secret).status_code == 200
    response = ask(path, x_api_key=secret)
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 60


@every_kind
def test_while_the_database_is_down_it_is_503(ask: Ask, mint: Mint, path: str) -> None:
    def down(*_: Any) -> None:
        raise OperationalError

    secret = mint(scopes=WRITE).secret.reveal()
    with connection.execute_wrapper(down):
        response = ask(path, x_api_key=secret)
    assert (response.status_code, response["Retry-After"]) == (503, "5")


@every_kind
def test_no_csrf_token_is_asked_for(ask: Ask, mint: Mint, path: str) -> None:
    secret = mint(scopes=WRITE).secret.reveal()
    assert ask(path, method="post", x_api_key=secret).status_code in {200, 405}


@every_kind
def test_no_cache_gives_one_callers_answer_to_another(ask: Ask, mint: Mint, path: str) -> None:
    for headers in ({}, {"x_api_key": mint(scopes=WRITE).secret.reveal()}):
        varies = ask(path, **headers)["Vary"]
        assert {"x-api-key", "Authorization"} <= set(varies.split(", "))


@every_kind
def test_a_page_asks_nothing_of_the_hosts_context(ask: Ask, settings: Any, path: str) -> None:
    """Which may want the database: not to be waited for in an event loop, and maybe down."""
    (templates,) = settings.TEMPLATES
    asking = ["tests.plain_django.views.count_people"]
    settings.TEMPLATES = [{**templates, "OPTIONS": {"context_processors": asking}}]
    response = ask(path, accept="text/html", x_api_key="pka_x")
    assert (response.status_code, views.people_counted) == (401, [])
    assert "<h1>Invalid API key.</h1>" in response.content.decode()
    assert ask("/accounts/login/").status_code == 200
    assert views.people_counted.pop() == 0


@pytest.mark.django_db(transaction=True)
def test_a_refusal_commits_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in REST framework; and a lost connection must not make a 500 of a 503."""
    settings.ROOT_URLCONF = "tests.plain_django.urls"
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert Client().get("/writes/").status_code == 401
    assert not get_user_model()._default_manager.exists()


def test_without_scopes_any_credential_will_do(ask: Ask, mint: Mint) -> None:
    assert ask("/anybody/", x_api_key=mint().secret.reveal()).status_code == 200


def test_an_async_view_stays_one() -> None:
    assert iscoroutinefunction(views.awriter)
    assert iscoroutinefunction(views.AsyncWriter.as_view())
    assert not iscoroutinefunction(views.writer)


def test_scopes_without_their_name_are_a_mistake_at_once() -> None:
    nameless: Any = "sandbox:read"
    with pytest.raises(TypeError, match="scopes="):
        require_principal(nameless)


def test_a_scope_that_can_not_be_is_a_mistake_at_once() -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        require_principal(scopes=["nonsense"])
