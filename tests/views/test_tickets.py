"""``POST ws-ticket``: how a page, a machine or a terminal gets a ticket for a WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, override_settings

from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.flows.tickets import redeem_ticket, ticket_digest
from pikku_auth.models import SocketTicket
from pikku_auth.principal import Principal
from tests.conftest import pikku_settings
from tests.logins import bearer, browser_of, logged_in, post

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
MIDDLEWARE = "pikku_auth.middleware.PikkuAuthMiddleware"


def ask(client: Client | None = None, **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return (client or Client(enforce_csrf_checks=True)).post("/auth/ws-ticket", headers=given)


def holder_of(response: Any) -> Principal:
    return redeem_ticket(ticket_digest(response.json()["ticket"]), ip="127.0.0.1")


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


def test_a_keys_ticket_opens_for_the_key(mint: Mint) -> None:
    issued = mint()
    assert holder_of(ask(x_api_key=issued.secret.reveal())).key == issued.key


def test_a_logins_ticket_opens_for_the_login(ada: Any) -> None:
    issued = logged_in(ada)
    assert holder_of(ask(**bearer(issued))).login == issued.login


def test_a_browsers_ticket_opens_for_its_human(ada: Any) -> None:
    response: Any = post(browser_of(ada, enforce_csrf_checks=True), "ws-ticket")
    assert (holder_of(response).via, response.status_code) == ("session", 200)


def test_the_answer_says_all_that_a_page_needs(ada: Any) -> None:
    response: Any = post(browser_of(ada), "ws-ticket")
    answer = response.json()
    ticket = answer.pop("ticket")
    assert ticket.startswith("pkt_")
    assert answer == {"expires_in": 30, "protocols": ["pikku-auth", f"pikku-auth.ticket.{ticket}"]}
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_page_of_another_site_gets_none(ada: Any, origin: str) -> None:
    assert post(browser_of(ada), "ws-ticket", Origin=origin).status_code == 403
    assert not SocketTicket.objects.exists()


def test_a_page_that_hides_where_it_is_gets_none(ada: Any) -> None:
    assert ask(browser_of(ada)).status_code == 403


def test_nobody_gets_none() -> None:
    response = ask()
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'


def test_a_bad_key_gets_none_whoever_is_signed_in(ada: Any, mint: Mint) -> None:
    issued = mint()
    revoke_key(issued.key)
    for key in (issued.secret.reveal(), generate("pka").reveal(), ""):
        response = post(browser_of(ada), "ws-ticket", **{"x-api-key": key})
        assert response.status_code == 401
    assert not SocketTicket.objects.exists()


def test_a_bad_login_gets_none_whoever_is_signed_in(ada: Any) -> None:
    token = generate("pks").reveal()
    response = post(browser_of(ada), "ws-ticket", Authorization=f"Bearer {token}")
    assert response.status_code == 401


def test_asking_counts_as_a_call(mint: Mint) -> None:
    secret = mint(rate=parse_rate("1/d")).secret.reveal()
    assert ask(x_api_key=secret).status_code == 200
    refused = ask(x_api_key=secret)
    assert (refused.status_code, "Retry-After" in refused) == (429, True)


def test_the_hosts_mapping_has_the_last_word(mint: Mint) -> None:
    with pikku_settings(MAP_KEY="tests.mappings.reject"):
        assert ask(x_api_key=mint().secret.reveal()).status_code == 401


def test_only_post_is_answered() -> None:
    assert Client().get("/auth/ws-ticket").status_code == 404


def test_it_is_the_same_behind_our_middleware(ada: Any, mint: Mint, settings: Any) -> None:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, MIDDLEWARE]):
        secret = mint(rate=parse_rate("1/d")).secret.reveal()
        assert ask(x_api_key=secret).status_code == 200
        assert ask(x_api_key=generate("pka").reveal()).status_code == 401
        assert post(browser_of(ada), "ws-ticket").status_code == 200
