"""The helpers that hosts use in their own tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client, TestCase
from rest_framework.test import APIClient

from pikku_auth.exceptions import NothingGranted
from pikku_auth.flows import IssuedKey
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import LoginSession
from pikku_auth.testing import (
    aclient_with_key,
    aclient_with_login,
    client_with_key,
    client_with_login,
    issue_test_login,
    key_headers,
    login_headers,
    mint_test_key,
    websocket_headers,
)
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

LIST = "/api/sandboxes/"
READ = ["sandbox:read"]


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada", is_superuser=True)


@pytest.mark.parametrize("client_class", [APIClient, Client])
def test_a_client_with_a_key_is_authenticated_by_it(client_class: type[Any]) -> None:
    client = client_with_key(READ, client_class=client_class)
    assert client.get(LIST).status_code == 200
    assert client.post(LIST, {"name": "mine"}).status_code == 403


@pytest.mark.parametrize("client_class", [APIClient, Client])
def test_a_client_with_a_login_is_its_human(ada: Any, client_class: type[Any]) -> None:
    client = client_with_login(ada, client_class=client_class)
    told = client.get("/auth/whoami").json()
    assert (told["via"], told["user"]) == ("login", ada.get_username())
    assert client.get(LIST).status_code == 200


def test_a_login_may_manage_keys_if_its_human_may(ada: Any) -> None:
    with pikku_settings(LOGIN_SCOPES=["auth:*"], SIGN_IN_MAX_AGE=timedelta(minutes=1)):
        assert issue_test_login(ada, ["auth:mint"]).scope == "auth:mint"


def test_a_login_may_do_what_it_asked_for(ada: Any) -> None:
    client = client_with_login(ada, READ)
    assert client.get(LIST).status_code == 200
    assert client.post(LIST, {"name": "mine"}).status_code == 403


@pikku_settings(LOGIN_SCOPES=[])
def test_a_human_who_may_not_log_in_gets_no_login(make_user: Callable[..., Any]) -> None:
    with pytest.raises(NothingGranted):
        issue_test_login(make_user("grace"), READ)


@pikku_settings(DEVICE_CLIENT_IDS=["our-cli"])
def test_a_login_is_of_a_client_that_may_ask(ada: Any) -> None:
    issue_test_login(ada)
    assert LoginSession.objects.get().client_id == "our-cli"


def test_an_async_client_has_a_key_or_a_login(ada: Any) -> None:
    async def told() -> list[str]:
        clients: list[AsyncClient] = [
            await aclient_with_key(READ, service="builder"),
            await aclient_with_login(ada, READ),
        ]
        return [(await client.get("/auth/whoami")).json()["via"] for client in clients]

    assert async_to_sync(told)() == ["api_key", "login"]


def test_a_minted_test_key_can_be_presented_by_any_client(api: APIClient) -> None:
    issued = mint_test_key(READ, service="builder", lifetime=timedelta(hours=1))
    assert api.get(LIST, headers=key_headers(issued)).status_code == 200
    assert issued.key.service_user.name == "builder"


def test_a_test_login_can_be_presented_by_any_client(api: APIClient, ada: Any) -> None:
    assert api.get(LIST, headers=login_headers(issue_test_login(ada))).status_code == 200


def test_keys_of_one_service_share_a_service_user() -> None:
    assert mint_test_key().key.service_user == mint_test_key().key.service_user


def test_websockets_have_headers_as_servers_pass_them(ada: Any) -> None:
    issued, login = mint_test_key(), issue_test_login(ada)
    host = (b"host", b"testserver")
    key, token = issued.secret.reveal(), login.token.reveal()
    assert websocket_headers(issued) == [host, (b"x-api-key", key.encode())]
    assert websocket_headers(login) == [host, (b"authorization", f"Bearer {token}".encode())]


class SharedByTests(TestCase):
    """What ``setUpTestData`` makes is copied for each test."""

    issued: ClassVar[IssuedKey]
    login: ClassVar[IssuedLogin]

    @classmethod
    def setUpTestData(cls) -> None:
        users: Any = get_user_model()
        human = users.objects.create_superuser(
            **{users.USERNAME_FIELD: "ada@example.com", "password": "correct-horse"}
        )
        cls.issued, cls.login = mint_test_key(READ), issue_test_login(human)

    def test_a_key(self) -> None:
        answer = self.client.get(LIST, headers=key_headers(self.issued))
        assert answer.status_code == 200

    def test_a_login(self) -> None:
        answer = self.client.get(LIST, headers=login_headers(self.login))
        assert answer.status_code == 200
