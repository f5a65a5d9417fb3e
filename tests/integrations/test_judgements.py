"""``credential_judged``: once for each credential, with the integration that has asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client

from pikku_auth.contrib.channels import PikkuChannelsMiddleware
from pikku_auth.core.websocket_protocol import offer
from pikku_auth.exceptions import Refused
from pikku_auth.flows import IssuedKey, aauthenticate, revoke_key, verify_key
from pikku_auth.models import APIKey, LoginSession, SocketTicket
from pikku_auth.signals import credential_judged
from pikku_auth.testing import key_headers
from tests.integrations.ways_in import INTEGRATIONS, Integration, Telling
from tests.logins import bearer, logged_in, post
from tests.sockets.wire import calling

pytestmark = pytest.mark.django_db

Heard = list[dict[str, Any]]
SOURCES = {
    "REST framework": "rest_framework",
    "the": "django",
    "ninja": "ninja",
    "async ninja": "ninja",
    "Channels": "channels",
}


def source_of(name: str) -> str:
    if name.endswith("behind the middleware"):
        return "django"
    (source,) = {source for start, source in SOURCES.items() if name.startswith(start)}
    return source


@pytest.fixture
def heard() -> Iterator[Heard]:
    news: Heard = []

    def hear(signal: Any, **said: Any) -> None:
        news.append(said)

    credential_judged.connect(hear)
    yield news
    credential_judged.disconnect(hear)


def words(heard: Heard) -> list[tuple[str, str, str, str]]:
    return [(h["outcome"], h["reason"], h["credential"], h["source"]) for h in heard]


INTEGRATION = pytest.mark.parametrize("name", INTEGRATIONS)


@INTEGRATION
@pytest.mark.django_db(transaction=True)
def test_an_accepted_key_is_told_once(
    heard: Heard, mint: Callable[..., IssuedKey], name: str
) -> None:
    issued = mint()
    ask: Integration = INTEGRATIONS[name]
    assert ask([*key_headers(issued).items()]).status == 200
    assert words(heard) == [("accepted", "", "key", source_of(name))]
    assert heard[0]["sender"] is APIKey
    assert heard[0]["principal"].key == issued.key


@INTEGRATION
@pytest.mark.django_db(transaction=True)
def test_a_refused_key_is_told_once_with_the_precise_reason(
    heard: Heard, mint: Callable[..., IssuedKey], name: str
) -> None:
    issued = mint()
    revoke_key(issued.key)
    assert INTEGRATIONS[name]([*key_headers(issued).items()]).status == 401
    assert words(heard) == [("refused", "revoked", "key", source_of(name))]
    assert heard[0]["principal"] is None


@INTEGRATION
@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_of_a_request_without_a_credential(heard: Heard, name: str) -> None:
    INTEGRATIONS[name]([])
    assert heard == []


def test_a_login_is_told_as_one(heard: Heard, make_user: Callable[..., Any]) -> None:
    login = logged_in(make_user("ada", is_superuser=True))
    assert Client().get("/auth/whoami", headers=bearer(login)).status_code == 200
    assert words(heard) == [("accepted", "", "login", "endpoint")]
    assert heard[0]["sender"] is LoginSession


def test_our_endpoints_are_a_source(heard: Heard, mint: Callable[..., IssuedKey]) -> None:
    Client().get("/auth/whoami", headers=key_headers(mint()))
    assert words(heard) == [("accepted", "", "key", "endpoint")]


def test_code_is_a_source(heard: Heard, mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    verify_key(issued.secret.reveal())
    with pytest.raises(Refused):
        verify_key("nonsense")
    assert words(heard) == [
        ("accepted", "", "key", "code"),
        ("refused", "malformed", "key", "code"),
    ]


def test_what_is_introspected_is_told_beside_who_asks(
    heard: Heard, mint: Callable[..., IssuedKey]
) -> None:
    asking, asked = Client(headers=key_headers(mint(scopes=["auth:introspect"]))), mint()
    asking.post("/auth/introspect", {"token": asked.secret.reveal()})
    assert words(heard) == []  # it was no form
    for _ in range(2):
        body = f"token={asked.secret.reveal()}"
        asking.post("/auth/introspect", body, "application/x-www-form-urlencoded")
        revoke_key(asked.key)
    caller = ("accepted", "", "key", "endpoint")
    assert words(heard) == [
        caller,
        ("accepted", "", "key", "introspection"),
        caller,
        ("refused", "revoked", "key", "introspection"),
    ]


def test_an_outage_is_neither(heard: Heard, mint: Callable[..., IssuedKey]) -> None:
    headers = key_headers(mint())

    def down(*_: object) -> None:
        raise OperationalError

    with connection.execute_wrapper(down):
        Client().get("/auth/whoami", headers=headers)
    assert words(heard) == [("unavailable", "unavailable", "key", "endpoint")]


@pytest.mark.django_db(transaction=True)
def test_a_ticket_is_told_when_it_opens_a_socket(
    heard: Heard, make_user: Callable[..., Any]
) -> None:
    login = logged_in(make_user("ada", is_superuser=True))
    ticket = post(Client(headers=bearer(login)), "ws-ticket").json()["ticket"]
    heard.clear()
    app = PikkuChannelsMiddleware(Telling.as_asgi())

    async def go() -> None:
        for _ in range(2):
            protocols = [("Sec-WebSocket-Protocol", ", ".join(offer(ticket)))]
            async with calling(app, protocols) as call:
                if call.opened:
                    await call.says()
                    await call.hang_up()

    async_to_sync(go)()
    assert words(heard) == [
        ("accepted", "", "ticket", "channels"),
        ("refused", "unknown, used or too old", "ticket", "channels"),
    ]
    assert {h["sender"] for h in heard} == {SocketTicket}


@pytest.mark.django_db(transaction=True)
def test_a_receiver_in_an_event_loop_may_use_the_orm_or_be_async(
    mint: Callable[..., IssuedKey],
) -> None:
    request, counted = HttpRequest(), []
    request.META = {"HTTP_X_API_KEY": mint().secret.reveal()}

    def count(**_: object) -> None:
        counted.append(APIKey.objects.count())

    async def acount(**_: object) -> None:
        counted.append("async")

    assert iscoroutinefunction(acount)
    for receiver in (count, acount):
        credential_judged.connect(receiver)
    try:
        assert async_to_sync(aauthenticate)(request) is not None
    finally:
        for receiver in (count, acount):
            credential_judged.disconnect(receiver)
    assert sorted(map(str, counted)) == ["1", "async"]


def test_a_receiver_that_raises_disturbs_nobody(mint: Callable[..., IssuedKey]) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    credential_judged.connect(fail)
    try:
        answer = Client().get("/auth/whoami", headers=key_headers(mint()))
    finally:
        credential_judged.disconnect(fail)
    assert answer.status_code == 200
