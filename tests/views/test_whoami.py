"""``GET whoami``: what a key or a login is, told to whoever has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from pikku_auth.core.limits import Rate
from pikku_auth.flows import IssuedKey, revoke_key
from tests.conftest import dump_of_tables, pikku_settings
from tests.logins import bearer, browser_of, logged_in, post

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


def ask(client: Client | None = None, **headers: str) -> Any:
    return (client or Client()).get("/auth/whoami", headers=headers)


def with_key(issued: IssuedKey) -> dict[str, str]:
    return {"x-api-key": issued.secret.reveal()}


def test_a_key_is_its_service_user(mint: Mint) -> None:
    issued = mint(scopes=["sandbox:read"])
    owner = issued.key.service_user
    assert ask(**with_key(issued)).json() == {
        "via": "api_key",
        "user": owner.user.get_username(),  # type: ignore[union-attr]
        "service_user": "sandbox-runtime",
        "scopes": ["sandbox:read"],
        "expires_at": issued.key.expires_at.isoformat(),  # type: ignore[union-attr]
        "max_expires_at": issued.key.expires_at.isoformat(),  # type: ignore[union-attr]
        "key": {"start": issued.key.preview, "name": "", "rate": None, "remaining": None},
    }


def test_a_key_tells_its_limits_and_what_is_left(mint: Mint) -> None:
    issued = mint(name="ci", rate=Rate(100, 60), quota=5)
    told = ask(**with_key(issued)).json()["key"]
    assert (told["name"], told["rate"], told["remaining"]) == ("ci", "100/m", 4)


def test_a_key_without_an_end_has_none(mint: Mint) -> None:
    assert ask(**with_key(mint(lifetime=None))).json()["expires_at"] is None


def test_a_login_is_its_human(make_user: Any) -> None:
    issued = logged_in(make_user("ada"), scope="sandbox:read")
    answer = ask(**bearer(issued)).json()
    assert answer == {
        "via": "login",
        "user": issued.login.user.get_username(),
        "service_user": None,
        "scopes": ["sandbox:read"],
        "expires_at": issued.login.expires_at.isoformat(),
        "max_expires_at": (issued.login.created_at + timedelta(days=90)).isoformat(),
        "key": None,
    }


def test_a_dead_or_unknown_credential_is_refused(mint: Mint) -> None:
    issued = mint()
    revoke_key(issued.key)
    for headers in (with_key(issued), {"x-api-key": "x"}, {"x-api-key": ""}):
        response = ask(**headers)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, 'ApiKey realm="api"')


def test_who_has_neither_is_told_what_there_is(make_user: Any) -> None:
    for client in (Client(), browser_of(make_user("ada"))):
        response = ask(client)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'


def test_no_cache_keeps_the_answer(mint: Mint) -> None:
    for response in (ask(**with_key(mint())), ask()):
        assert response["Cache-Control"] == "no-store"


def test_it_is_only_read(mint: Mint) -> None:
    issued = mint()
    before = dump_of_tables()
    response: Any = post(Client(), "whoami", **with_key(issued))
    assert response.status_code == 404
    assert ask().status_code == ask(**{"x-api-key": "x"}).status_code == 401
    assert dump_of_tables() == before


def test_login_that_may_be_used_for_ever_has_no_latest_end(make_user: Any) -> None:
    issued = logged_in(make_user("ada"))
    with pikku_settings(LOGIN_MAX_LIFETIME=None):
        assert ask(**bearer(issued)).json()["max_expires_at"] is None
        session = Client().get("/auth/get-session", headers=bearer(issued)).json()["session"]
        assert session["maxExpiresAt"] is None
