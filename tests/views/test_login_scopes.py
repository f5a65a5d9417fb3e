"""What the endpoints tell of a login: what is granted, not what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pikku_auth.models import DeviceCode, LoginSession
from tests import login_scopes
from tests.conftest import pikku_settings
from tests.logins import (
    approved,
    bearer,
    browser_of,
    logged_in,
    poll_body,
    post,
    started_and_claimed,
)

pytestmark = pytest.mark.django_db

BY_GROUP = "tests.login_scopes.by_group"


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


def get(path: str, client: Client | None = None, **headers: str) -> Any:
    return (client or Client()).get(f"/auth/{path}", headers=headers)


def test_token_comes_with_the_scope_that_is_granted(ada: Any) -> None:
    with pikku_settings(LOGIN_SCOPES=BY_GROUP):
        started = approved(ada, scope="sandbox:read sandbox:write")
        answer: Any = post(Client(), "device/token", poll_body(started))
    assert answer.json()["scope"] == "sandbox:read"


def test_code_is_looked_up_with_the_scope_that_was_asked_for(ada: Any) -> None:
    started = started_and_claimed(ada, scope="sandbox:read sandbox:write")
    with pikku_settings(LOGIN_SCOPES=BY_GROUP):
        code = started.user_code.reveal()
        answer = get(f"device?user_code={code}", browser_of(ada)).json()
    assert answer["scope"] == "sandbox:read sandbox:write"


def test_every_endpoint_tells_what_is_granted_now(ada: Any) -> None:
    issued = logged_in(ada, scope="sandbox:read sandbox:write")
    group = Group.objects.create(name=login_scopes.GROUP)
    with pikku_settings(LOGIN_SCOPES=BY_GROUP):
        for scopes in (["sandbox:read"], ["sandbox:read", "sandbox:write"]):
            assert get("whoami", **bearer(issued)).json()["scopes"] == scopes
            assert get("get-session", **bearer(issued)).json()["session"]["scopes"] == scopes
            (session,) = get("list-sessions", **bearer(issued)).json()
            assert session["scopes"] == scopes
            ada.groups.add(group)


def test_session_tells_what_map_login_has_left(ada: Any) -> None:
    issued = logged_in(ada)
    with pikku_settings(
        LOGIN_SCOPES=["sandbox:read", "sandbox:write"], MAP_LOGIN="tests.mappings.narrow"
    ):
        answer = get("get-session", **bearer(issued)).json()
    assert answer["session"]["scopes"] == ["sandbox:read"]


def test_list_of_sessions_asks_once_and_shows_what_each_was_asked_for(
    ada: Any,
) -> None:
    browser = browser_of(ada)
    for scope in ("sandbox:read", "sandbox:write", ""):
        logged_in(ada, scope=scope)
    with pikku_settings(LOGIN_SCOPES=BY_GROUP), CaptureQueriesContext(connection) as context:
        told = get("list-sessions", browser).json()
    assert sum("auth_group" in query["sql"] for query in context.captured_queries) == 1
    assert [session["scopes"] for session in told] == [["sandbox:read"], [], ["sandbox:read"]]


@pytest.mark.parametrize("function", ["by_group", "nobody", "aby_group", "anobody"])
def test_approving_what_could_do_nothing_is_refused(function: str, ada: Any) -> None:
    started = started_and_claimed(ada, scope="sandbox:write")
    body = {"userCode": started.user_code.reveal()}
    with pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{function}"):
        answer: Any = post(browser_of(ada), "device/approve", body)
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
        assert answer.json()["error_description"].startswith(("This login could", "You may not"))
        assert DeviceCode.objects.get().status == "pending"
        assert post(browser_of(ada), "device/deny", body).status_code == 200


class TestWhoMayNotLogInAnyMore:
    """A human whom ``LOGIN_SCOPES`` answers ``None`` for."""

    @pytest.fixture
    def headers(self, ada: Any) -> Any:
        headers = bearer(logged_in(ada))
        with pikku_settings(LOGIN_SCOPES="tests.login_scopes.nobody"):
            yield headers

    def test_is_nobody_to_the_endpoints(self, headers: dict[str, str]) -> None:
        assert get("whoami", **headers).status_code == 401
        assert get("get-session", **headers).json() is None
        assert get("list-sessions", **headers).status_code == 401

    def test_can_sign_out(self, headers: dict[str, str]) -> None:
        assert post(Client(), "sign-out", **headers).status_code == 200
        assert LoginSession.objects.get().revoked_at

    def test_sees_and_ends_logins_in_the_browser(self, headers: dict[str, str], ada: Any) -> None:
        (session,) = get("list-sessions", browser_of(ada)).json()
        assert session["scopes"] == []
        assert post(browser_of(ada), "revoke-sessions").status_code == 200
        assert LoginSession.objects.get().revoked_at


def test_login_can_be_signed_out_and_revoked_while_the_function_fails(ada: Any) -> None:
    issued, other = logged_in(ada), logged_in(ada)
    with pikku_settings(LOGIN_SCOPES="tests.login_scopes.fail"):
        assert post(Client(), "sign-out", **bearer(issued)).status_code == 200
        body = {"id": str(other.login.pk)}
        assert post(browser_of(ada), "revoke-session", body).status_code == 200
    assert LoginSession.objects.filter(revoked_at=None).count() == 0
