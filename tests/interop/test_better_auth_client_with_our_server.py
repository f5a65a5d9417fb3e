"""better-auth's own JavaScript client, unchanged, against our server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import DjangoHuman, Server

Call = Callable[..., Any]

CLIENT = "better-auth-js"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def js(better_auth_client: Call) -> Call:
    return better_auth_client


def begin(js: Call, scope: str = "sandbox:read") -> Any:
    answer = js("device.code", {"client_id": CLIENT, "scope": scope})
    assert answer["error"] is None
    return answer["data"]


def poll(js: Call, code: Any, client_id: str = CLIENT) -> Any:
    body = {"grant_type": GRANT_TYPE, "device_code": code["device_code"], "client_id": client_id}
    return js("device.token", body)


def log_in(js: Call, human: DjangoHuman) -> str:
    code = begin(js)
    human.approve(code["user_code"])
    token: str = poll(js, code)["data"]["access_token"]
    return token


def refusal(answer: Any) -> tuple[int, str]:
    assert answer["data"] is None
    return answer["error"]["status"], answer["error"].get("error") or answer["error"]["code"]


def test_device_code_says_where_the_human_goes(js: Call, our_server: Server) -> None:
    code = begin(js)
    page = f"{our_server.url}/auth/activate"
    assert code == {
        "device_code": code["device_code"],
        "user_code": code["user_code"],
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={code['user_code']}",
        "expires_in": 600,
        "interval": 5,
    }


def test_device_code_is_not_for_a_client_that_the_host_does_not_know(js: Call) -> None:
    assert refusal(js("device.code", {"client_id": "stranger"})) == (400, "invalid_client")


def test_device_code_needs_a_client(js: Call) -> None:
    assert refusal(js("device.code", {"client_id": ""})) == (400, "invalid_request")


def test_device_token_is_pending_until_the_human_decides(js: Call) -> None:
    assert refusal(poll(js, begin(js))) == (400, "authorization_pending")


def test_device_token_says_when_it_is_asked_too_often(js: Call) -> None:
    code = begin(js)
    poll(js, code)
    assert refusal(poll(js, code)) == (400, "slow_down")


def test_device_token_is_there_after_an_approval_on_the_page(js: Call, ada: DjangoHuman) -> None:
    code = begin(js)
    ada.approve_on_the_page(code["verification_uri_complete"])
    answer = poll(js, code)
    assert answer["error"] is None
    assert answer["data"] == {
        "access_token": answer["data"]["access_token"],
        "token_type": "Bearer",
        "expires_in": 604800,
        "scope": "sandbox:read",
    }


@pytest.mark.parametrize(
    ("scope", "granted"),
    [("openid profile", ""), ("read write", ""), ("openid sandbox:read", "sandbox:read")],
)
def test_device_token_comes_with_free_form_scopes_too(
    js: Call, ada: DjangoHuman, scope: str, granted: str
) -> None:
    code = begin(js, scope)
    ada.approve_on_the_page(code["verification_uri_complete"])
    answer = poll(js, code)["data"]
    assert answer["scope"] == granted
    token = answer["access_token"]
    assert js("getSession", token=token)["data"]["user"]["email"] == "ada@example.com"
    assert js("signOut", token=token)["data"] == {"success": True}


def test_device_token_is_given_once(js: Call, ada: DjangoHuman) -> None:
    code = begin(js)
    ada.approve(code["user_code"])
    assert poll(js, code)["data"]
    assert refusal(poll(js, code)) == (400, "invalid_grant")


def test_device_token_is_refused_when_the_human_denies(js: Call, ada: DjangoHuman) -> None:
    code = begin(js)
    ada.deny_on_the_page(code["verification_uri_complete"])
    assert refusal(poll(js, code)) == (400, "access_denied")


def test_device_token_is_not_for_another_client(js: Call) -> None:
    code = begin(js)
    assert refusal(poll(js, code, client_id="pikku-cli")) == (400, "invalid_grant")
    assert refusal(poll(js, code, client_id="stranger")) == (400, "invalid_grant")


def test_device_token_is_not_for_an_unknown_code(js: Call) -> None:
    assert refusal(poll(js, {"device_code": "nonsense"})) == (400, "invalid_grant")


def test_device_can_be_looked_up_by_anybody(js: Call) -> None:
    typed = begin(js)["user_code"].lower()
    answer = js("device", {"query": {"user_code": typed}})
    assert answer["data"] == {"user_code": typed, "status": "pending"}


def test_device_tells_a_wrong_code(js: Call) -> None:
    answer = js("device", {"query": {"user_code": "XXXX-XXXX"}})
    assert refusal(answer) == (400, "invalid_request")


def test_device_approve_does_not_take_a_bearer(js: Call, ada: DjangoHuman) -> None:
    token, code = log_in(js, ada), begin(js)
    body = {"userCode": code["user_code"]}
    assert refusal(js("device.approve", body, token=token)) == (401, "unauthorized")
    assert refusal(js("device.deny", body, token=token)) == (401, "unauthorized")


def test_get_session_tells_who_the_bearer_is(js: Call, ada: DjangoHuman) -> None:
    token = log_in(js, ada)
    answer = js("getSession", token=token)
    assert answer["error"] is None
    session, user = answer["data"]["session"], answer["data"]["user"]
    assert session["token"] == token
    assert session["userId"] == user["id"]
    assert {"id", "createdAt", "updatedAt", "expiresAt", "ipAddress", "userAgent"} <= set(session)
    assert (user["email"], user["name"]) == ("ada@example.com", "ada")
    assert {"id", "emailVerified", "image", "createdAt", "updatedAt"} <= set(user)


@pytest.mark.parametrize("token", ["", "nonsense", "pks_" + "0" * 49])
def test_get_session_is_null_for_nobody(js: Call, token: str) -> None:
    assert js("getSession", token=token) == {"data": None, "error": None}


def test_sign_out_ends_the_login(js: Call, ada: DjangoHuman) -> None:
    token = log_in(js, ada)
    assert js("signOut", token=token)["data"] == {"success": True}
    assert js("getSession", token=token) == {"data": None, "error": None}


def test_sign_out_is_fine_for_nobody(js: Call) -> None:
    assert js("signOut")["data"] == {"success": True}


def test_list_sessions_tells_no_token(js: Call, ada: DjangoHuman) -> None:
    token = log_in(js, ada)
    sessions = js("listSessions", token=token)["data"]
    own = js("getSession", token=token)["data"]["session"]["id"]
    assert own in {session["id"] for session in sessions}
    assert token not in str(sessions)


def test_revoke_session_takes_what_list_sessions_has(js: Call, ada: DjangoHuman) -> None:
    kept, ended = log_in(js, ada), log_in(js, ada)
    own = js("getSession", token=ended)["data"]["session"]["id"]
    sessions = js("listSessions", token=kept)["data"]
    (listed,) = [session["token"] for session in sessions if session["id"] == own]
    assert js("revokeSession", {"token": listed}, token=kept)["data"] == {"status": True}
    assert js("getSession", token=ended)["data"] is None
    assert js("getSession", token=kept)["data"]


def test_list_sessions_is_not_for_nobody(js: Call) -> None:
    assert refusal(js("listSessions")) == (401, "UNAUTHORIZED")


def test_revoke_session_ends_the_one_with_that_token(js: Call, ada: DjangoHuman) -> None:
    kept, ended = log_in(js, ada), log_in(js, ada)
    assert js("revokeSession", {"token": ended}, token=kept)["data"] == {"status": True}
    assert js("getSession", token=ended)["data"] is None
    assert js("getSession", token=kept)["data"]


def test_revoke_other_sessions_leaves_the_caller(js: Call, ada: DjangoHuman) -> None:
    kept, ended = log_in(js, ada), log_in(js, ada)
    assert js("revokeOtherSessions", token=kept)["data"] == {"status": True}
    assert js("getSession", token=ended)["data"] is None
    assert js("getSession", token=kept)["data"]


def test_revoke_sessions_ends_all(js: Call, ada: DjangoHuman) -> None:
    one, other = log_in(js, ada), log_in(js, ada)
    assert js("revokeSessions", token=one)["data"] == {"status": True}
    assert js("getSession", token=one)["data"] is None
    assert js("getSession", token=other)["data"] is None
