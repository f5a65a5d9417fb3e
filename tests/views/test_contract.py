"""The wire contract of the device flow, section by section, as our server keeps it.

A test's number is the contract's. Where a docstring says what the reference does, we do
otherwise on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from pikku_auth.flows import AuditContext, create_service_user, mint_key, revoke_login
from pikku_auth.flows.device_flow import approve, deny, start_login
from pikku_auth.flows.device_flow import authorize as device_flow
from pikku_auth.models import AuditEvent, DeviceCode, LoginSession
from pikku_auth.views.http import in_iso
from tests.cases import in_turn
from tests.conftest import pikku_settings
from tests.logins import (
    CLIENT,
    GRANT_TYPE,
    approved,
    bearer,
    browser_of,
    logged_in,
    poll_body,
    post,
    row_of,
    started_and_claimed,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
END = NOW + timedelta(minutes=10)

MakeUser = Callable[..., Any]

JSON_POSTS = ["device/approve", "device/deny", "revoke-session"]
JSON_OR_FORM_POSTS = ["device/code", "device/token"]
POSTS = [
    *JSON_POSTS,
    *JSON_OR_FORM_POSTS,
    "sign-out",
    "revoke-sessions",
    "revoke-other-sessions",
]
GETS = ["device", "get-session", "list-sessions", "ok"]
DECISIONS = ["approve", "deny"]

UNAUTHORIZED = {"message": "Unauthorized", "code": "UNAUTHORIZED"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(autouse=True)
def clock() -> Iterator[FrozenDateTimeFactory]:
    with freeze_time(NOW) as freeze:
        yield freeze


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


@pytest.fixture
def browser(ada: Any) -> Client:
    """Ada's browser, signed in to the site."""
    return browser_of(ada)


@pytest.fixture
def grace(make_user: MakeUser) -> Client:
    """The browser of somebody else."""
    return browser_of(make_user("grace"))


def send(client: Client, path: str, body: str, content_type: str = "application/json") -> Any:
    origin = {"Origin": "http://testserver"}
    return client.post(f"/auth/{path}", body, content_type=content_type, headers=origin)


def form(client: Client, path: str, body: str) -> Any:
    return send(client, path, body, FORM)


def told(response: Any) -> tuple[int, Any]:
    assert response["Content-Type"] == "application/json"
    return response.status_code, response.json()


def oauth(error: str, description: str, status: int = 400) -> tuple[int, dict[str, str]]:
    return status, {"error": error, "error_description": description}


def invalid(*wrong: str) -> tuple[int, dict[str, str]]:
    return 400, {"message": "; ".join(wrong), "code": "VALIDATION_ERROR"}


def look_up(client: Client, user_code: str) -> Any:
    return client.get("/auth/device", {"user_code": user_code})


def code_of(started: Any) -> str:
    code: str = started.user_code.reveal()
    return code


# 2. Rules common to all endpoints


@pytest.mark.parametrize(
    ("path", "method"), in_turn(POSTS, ["get", "put", "patch", "delete", "options", "head"])
)
def test_2_the_wrong_method_on_a_post_is_404_and_empty(
    client: Client, path: str, method: str
) -> None:
    response = getattr(client, method)(f"/auth/{path}")
    assert (response.status_code, response.content) == (404, b"")
    assert "Content-Type" not in response


@pytest.mark.parametrize(("path", "method"), in_turn(GETS, ["put", "patch", "delete", "options"]))
def test_2_the_wrong_method_on_a_get_is_404_and_empty(
    client: Client, path: str, method: str
) -> None:
    response = getattr(client, method)(f"/auth/{path}")
    assert (response.status_code, response.content) == (404, b"")
    assert "Content-Type" not in response


@pytest.mark.parametrize("path", ["nonsense", "device/nonsense", "device/code/", "get-session/"])
def test_2_an_unknown_path_is_404(client: Client, path: str) -> None:
    """The reference answers with an empty body; ours is the host's own page."""
    assert client.get(f"/auth/{path}").status_code == 404
    assert client.post(f"/auth/{path}").status_code == 404


@pytest.mark.parametrize(
    ("path", "given"),
    in_turn(JSON_POSTS, ["text/plain", FORM, "multipart/form-data; boundary=x", ""]),
)
def test_2_a_media_type_that_is_not_allowed_is_415(browser: Client, path: str, given: str) -> None:
    response = send(browser, path, '{"userCode": "X", "token": "X"}', given)
    message = f'Content-Type "{given}" is not allowed. Allowed types: application/json'
    assert told(response) == (415, {"message": message, "code": "UNSUPPORTED_MEDIA_TYPE"})


@pytest.mark.parametrize(
    ("path", "given"),
    in_turn(JSON_OR_FORM_POSTS, ["text/plain", "multipart/form-data; boundary=x"]),
)
def test_2_the_allowed_media_types_are_listed(client: Client, path: str, given: str) -> None:
    message = (
        f'Content-Type "{given}" is not allowed. Allowed types: application/json, '
        "application/x-www-form-urlencoded"
    )
    assert told(send(client, path, "x", given)) == (
        415,
        {"message": message, "code": "UNSUPPORTED_MEDIA_TYPE"},
    )


@pytest.mark.parametrize(
    "given", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=x"]
)
def test_2_parameters_and_case_of_a_media_type_do_not_matter(client: Client, given: str) -> None:
    assert send(client, "device/code", '{"client_id":"x"}', given).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    in_turn(
        [*JSON_POSTS, *JSON_OR_FORM_POSTS],
        ["{", "nonsense", "{'a': 1}", "\xff", "[" * 100_000, '{"a":'],
    ),
)
def test_2_what_is_not_json_is_400(browser: Client, path: str, body: str) -> None:
    expected = {"message": "Invalid JSON in request body", "code": "BAD_REQUEST"}
    assert told(send(browser, path, body)) == (400, expected)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    in_turn(
        [*JSON_POSTS, *JSON_OR_FORM_POSTS],
        ["[]", "7", "1.5", '"x"', "true", "null"],
        ["array", "number", "number", "string", "boolean", "null"],
    ),
)
def test_2_json_that_is_no_object_fails_the_schema(
    browser: Client, path: str, body: str, kind: str
) -> None:
    wrong = f"[body] Invalid input: expected object, received {kind}"
    oauth = 400, {"error": "invalid_request", "error_description": wrong}
    expected = oauth if path == "device/code" else invalid(wrong)
    assert told(send(browser, path, body)) == expected


@pytest.mark.parametrize(
    ("path", "body", "received"),
    [
        ("device/approve", {}, "undefined"),
        ("device/deny", {"user_code": "X"}, "undefined"),
        ("device/approve", {"userCode": None}, "null"),
        ("device/deny", {"userCode": 7}, "number"),
        ("device/approve", {"userCode": True}, "boolean"),
        ("device/deny", {"userCode": ["X"]}, "array"),
        ("device/approve", {"userCode": {}}, "object"),
    ],
)
def test_2_a_schema_failure_names_the_field_and_what_came(
    browser: Client, path: str, body: Any, received: str
) -> None:
    wrong = f"[body.userCode] Invalid input: expected string, received {received}"
    assert told(post(browser, path, body)) == invalid(wrong)


def test_2_several_failures_are_told_at_once(client: Client) -> None:
    status, body = told(post(client, "device/token", {"grant_type": GRANT_TYPE}))
    assert status == 400
    assert body["message"] == (
        "[body.device_code] Invalid input: expected string, received undefined; "
        "[body.client_id] Invalid input: expected string, received undefined"
    )


@pytest.mark.parametrize("path", ["revoke-session", "revoke-sessions", "revoke-other-sessions"])
def test_2_without_a_session_a_post_is_401(client: Client, path: str) -> None:
    response = post(client, path, {"token": "x"})
    assert told(response) == (401, UNAUTHORIZED)
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_2_without_a_session_a_get_is_401(client: Client) -> None:
    assert told(client.get("/auth/list-sessions")) == (401, UNAUTHORIZED)


def test_2_too_many_requests_are_429(client: Client) -> None:
    """The reference has no ``Retry-After`` and no OAuth error; ours says the same in both."""
    for _ in range(60):
        start_login(CLIENT, context=AuditContext(ip="192.0.2.7"))
    body = json.dumps({"client_id": CLIENT})
    response = client.post("/auth/device/code", body, "application/json", REMOTE_ADDR="192.0.2.7")
    assert response.status_code == 429
    words = "Too many requests. Please try again later."
    expected = {"error": "slow_down", "error_description": words, "message": words}
    assert response.json() == expected
    assert response["X-Retry-After"] == response["Retry-After"] == "600"


def test_2_unknown_fields_are_ignored(client: Client, ada: Any, browser: Client) -> None:
    more = {"unknown": [1], "userId": "x", "__proto__": {}}
    assert post(client, "device/code", {"client_id": "x", **more}).status_code == 200
    started = started_and_claimed(ada)
    body = {"userCode": code_of(started), **more}
    assert post(browser, "device/approve", body).status_code == 200
    assert post(client, "device/token", {**poll_body(started), **more}).status_code == 200


def test_2_dates_are_utc_with_milliseconds_and_z(client: Client, ada: Any) -> None:
    body = client.get("/auth/get-session", headers=bearer(logged_in(ada))).json()
    assert body["session"]["createdAt"] == "2026-12-01T12:00:00.000Z"


def test_2_ok_says_that_the_endpoints_are_here(client: Client) -> None:
    assert told(client.get("/auth/ok")) == (200, {"ok": True})


# 5. POST /device/code


def test_5_a_code_is_issued(client: Client) -> None:
    """The reference has 40 characters, a code without a dash, 30 minutes, and ``/device``."""
    response = post(client, "device/code", {"client_id": "pikku-cli"})
    status, body = told(response)
    assert status == 200
    row = DeviceCode.objects.get()
    user_code = body["user_code"]
    page = "http://testserver/auth/activate"
    assert body == {
        "device_code": body["device_code"],
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={user_code}",
        "expires_in": 600,
        "interval": 5,
    }
    assert (len(user_code), user_code[4]) == (9, "-")
    assert body["device_code"].startswith("pkd_")
    assert (row.client_id, row.status) == ("pikku-cli", "pending")


def test_5_host_sets_the_times_and_the_address(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    own = {"lifetime": timedelta(minutes=30), "interval": timedelta(seconds=10)}
    page = "https://app.example.com/device"
    with pikku_settings(DEVICE_CODE={**own, "verification_uri": page}):
        body = post(client, "device/code", {"client_id": CLIENT}).json()
        assert (body["expires_in"], body["interval"]) == (1800, 10)
        assert body["verification_uri"] == page
        assert body["verification_uri_complete"] == f"{page}?user_code={body['user_code']}"
        row = DeviceCode.objects.get()
        assert (row.expires_at, row.interval, row.announced_interval) == (
            NOW + own["lifetime"], 10, 10,
        )  # fmt: skip
        asked = {"grant_type": GRANT_TYPE, "client_id": CLIENT, "device_code": body["device_code"]}
        answers = []
        for seconds in (0, 6, 20):
            clock.move_to(NOW + seconds * SECOND)
            answers.append(post(client, "device/token", asked).json()["error"])
        assert answers == ["authorization_pending", "slow_down", "authorization_pending"]
        assert look_up(client, body["user_code"]).status_code == 200
        clock.move_to(NOW + own["lifetime"])
        assert look_up(client, body["user_code"]).json()["error"] == "expired_token"


def test_5_query_of_the_address_is_kept(client: Client) -> None:
    page = "https://app.example.com/device?lang=en"
    with pikku_settings(DEVICE_CODE={"verification_uri": page}):
        body = post(client, "device/code", {"client_id": CLIENT}).json()
    assert body["verification_uri_complete"] == f"{page}&user_code={body['user_code']}"


@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM}; charset=utf-8", "Application/X-WWW-Form-Urlencoded"]
)
def test_5_a_form_does_as_well(client: Client, content_type: str) -> None:
    body = "client_id=pikku-cli&scope=sandbox%3Aread+sandbox:write"
    assert send(client, "device/code", body, content_type).status_code == 200
    row = DeviceCode.objects.get()
    assert (row.client_id, row.scope) == ("pikku-cli", "sandbox:read sandbox:write")


def test_5_nobody_has_to_be_signed_in(client: Client) -> None:
    assert client.post("/auth/device/code", {"client_id": "x"}, "application/json").status_code == (
        200
    )


@pytest.mark.parametrize("body", ["", "{}"])
def test_5_a_schema_failure_is_in_the_dialect_of_oauth(client: Client, body: str) -> None:
    """The reference says ``[body]`` of a missing body, and has no ``Cache-Control`` here."""
    wrong = "[body.client_id] Invalid input: expected string, received undefined"
    response = send(client, "device/code", body)
    assert told(response) == oauth("invalid_request", wrong)
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("field", "value", "received"),
    in_turn(
        ["client_id", "scope", "user_id"],
        [None, 7, False, [], {}],
        ["null", "number", "boolean", "array", "object"],
    ),
)
def test_5_what_is_no_string_fails_the_schema(
    client: Client, field: str, value: Any, received: str
) -> None:
    wrong = f"[body.{field}] Invalid input: expected string, received {received}"
    response = post(client, "device/code", {"client_id": "x", field: value})
    assert told(response) == oauth("invalid_request", wrong)


def test_5_an_empty_client_id_is_an_absent_one(client: Client) -> None:
    response = post(client, "device/code", {"client_id": ""})
    assert told(response) == oauth("invalid_request", "client_id is required")


@pytest.mark.parametrize("body", ["client_id=", "client_id", "scope=a:b", "client_id=&client_id="])
def test_5_in_a_form_too(client: Client, body: str) -> None:
    """The reference has ``client_id is required`` for an empty one."""
    status, answer = told(form(client, "device/code", body))
    assert (status, answer["error"]) == (400, "invalid_request")
    assert "client_id" in answer["error_description"]


@pytest.mark.parametrize("body", ["client_id=&client_id=x", "client_id=x&client_id=&scope="])
def test_5_empty_occurrences_in_a_form_do_not_count(client: Client, body: str) -> None:
    assert form(client, "device/code", body).status_code == 200
    assert DeviceCode.objects.get().client_id == "x"


@pytest.mark.parametrize(
    ("field", "values"),
    in_turn(["client_id", "scope", "user_id"], [("a", "b"), ("a", "a"), ("a", "", "b")]),
)
def test_5_a_field_must_not_be_repeated(
    client: Client, field: str, values: tuple[str, ...]
) -> None:
    pairs = [f"{field}={value}" for value in values]
    others = [] if field == "client_id" else ["client_id=x"]
    response = form(client, "device/code", "&".join([*others, *pairs]))
    assert told(response) == oauth("invalid_request", f"{field} must not be repeated")


def test_5_an_unknown_parameter_must_not_be_repeated_either(client: Client) -> None:
    """The reference ignores it; RFC 6749, 3.2 forbids any parameter twice."""
    response = form(client, "device/code", "client_id=x&foo=1&foo=2")
    assert told(response) == oauth("invalid_request", "foo must not be repeated")


def test_5_empty_scope_and_user_id_are_absent(client: Client) -> None:
    body = {"client_id": "x", "scope": "", "user_id": ""}
    assert post(client, "device/code", body).status_code == 200
    assert DeviceCode.objects.get().scope == ""


def test_5_a_client_that_is_not_allowed_is_invalid(client: Client) -> None:
    with pikku_settings(DEVICE_CLIENT_IDS=["ours"]):
        response = post(client, "device/code", {"client_id": "theirs"})
        assert told(response) == oauth("invalid_client", "Invalid client ID")
        assert post(client, "device/code", {"client_id": "ours"}).status_code == 200


@pytest.mark.parametrize("scope", ["openid profile", "read write", "sandbox:fly"])
def test_5_scope_may_be_any_tokens(client: Client, scope: str) -> None:
    """As in the reference; but ours grants only scopes of the site."""
    response = post(client, "device/code", {"client_id": "x", "scope": scope})
    assert response.status_code == 200
    assert DeviceCode.objects.get().scope == scope


def test_5_scope_that_rfc_6749_does_not_allow_is_invalid(client: Client) -> None:
    """The reference stores any text and never reads it."""
    status, body = told(post(client, "device/code", {"client_id": "x", "scope": "a\tb"}))
    assert (status, body["error"]) == (400, "invalid_scope")
    assert not DeviceCode.objects.exists()


def test_5_whoever_sends_a_user_id_binds_nobody(client: Client, ada: Any, browser: Client) -> None:
    """The reference binds the code to that user, whoever asks, even one who doesn't exist."""
    body = post(client, "device/code", {"client_id": "x", "user_id": str(ada.pk)}).json()
    assert DeviceCode.objects.get().user is None
    response = post(browser, "device/approve", {"userCode": body["user_code"]})
    assert "has not been claimed" in response.json()["error_description"]


def test_5_codes_that_always_collide_are_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference gives up after three attempts with 500 ``server_error``."""
    taken = code_of(start_login(CLIENT))
    monkeypatch.setattr(device_flow, "generate_user_code", lambda: taken)
    response = post(client, "device/code", {"client_id": "x"})
    words = "Authentication is temporarily unavailable."
    assert told(response) == oauth("temporarily_unavailable", words, 503)
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("body", [{"client_id": "x"}, {"client_id": ""}, {"client_id": "theirs"}])
def test_5_nothing_is_cached(client: Client, body: Any) -> None:
    with pikku_settings(DEVICE_CLIENT_IDS=["x"]):
        response = post(client, "device/code", body)
    assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")


def test_5_the_order_of_the_checks(client: Client) -> None:
    with pikku_settings(DEVICE_CLIENT_IDS=["ours"]):
        both = form(client, "device/code", "client_id=theirs&scope=a&scope=b")
        client_first = post(client, "device/code", {"client_id": "theirs", "scope": "nonsense"})
    assert both.json()["error_description"] == "scope must not be repeated"
    assert client_first.json()["error"] == "invalid_client"


# 6. GET /device


def test_6_an_anonymous_caller_sees_the_status_and_claims_nothing(client: Client) -> None:
    started = start_login(CLIENT, "sandbox:read")
    expected = {"user_code": code_of(started), "status": "pending"}
    assert told(look_up(client, code_of(started))) == (200, expected)
    assert row_of(started).user is None


def test_6_whoever_is_signed_in_claims_it_and_sees_what_is_asked(browser: Client, ada: Any) -> None:
    started = start_login(CLIENT, "sandbox:read")
    assert told(look_up(browser, code_of(started))) == (
        200,
        {
            "user_code": code_of(started),
            "status": "pending",
            "client_id": CLIENT,
            "scope": "sandbox:read",
        },
    )
    assert row_of(started).user == ada


def test_6_without_a_scope_it_is_null(browser: Client) -> None:
    assert look_up(browser, code_of(start_login(CLIENT))).json()["scope"] is None


def test_6_nobody_else_claims_it_or_sees_more_than_the_status(grace: Client, ada: Any) -> None:
    started = started_and_claimed(ada)
    expected = {"user_code": code_of(started), "status": "pending"}
    assert told(look_up(grace, code_of(started))) == (200, expected)
    assert row_of(started).user == ada


def test_6_a_bearer_claims_nothing(client: Client, ada: Any) -> None:
    """The reference takes a bearer for a session here; a stolen one must not breed."""
    started = start_login(CLIENT)
    response = client.get(
        "/auth/device", {"user_code": code_of(started)}, headers=bearer(logged_in(ada))
    )
    assert told(response) == (200, {"user_code": code_of(started), "status": "pending"})
    assert row_of(started).user is None


@pytest.mark.parametrize("query", ["", "?userCode=X", "?usercode=X"])
def test_6_a_code_is_wanted(client: Client, query: str) -> None:
    wrong = "[query.user_code] Invalid input: expected string, received undefined"
    assert told(client.get(f"/auth/device{query}")) == invalid(wrong)


@pytest.mark.parametrize("typed", ["", "BCDF-GHJK", "nonsense"])
def test_6_an_unknown_code_is_invalid(client: Client, typed: str) -> None:
    assert told(look_up(client, typed)) == oauth("invalid_request", "Invalid user code")


def test_6_an_expired_code_is_told_and_kept(client: Client, clock: FrozenDateTimeFactory) -> None:
    started = start_login(CLIENT)
    clock.move_to(END)
    response = look_up(client, code_of(started))
    assert told(response) == oauth("expired_token", "User code has expired")
    assert row_of(started)


def test_6_the_code_comes_back_as_it_was_typed(client: Client) -> None:
    code = code_of(start_login(CLIENT))
    for typed in (code, code.lower(), f"{code[:4]}-{code[4:]}", f" {code}. "):
        assert look_up(client, typed).json()["user_code"] == typed


@pytest.mark.parametrize(
    ("decide", "fetched", "expected"),
    [
        (approve, False, "approved"),
        (approve, True, "approved"),
        (deny, False, "denied"),
        (deny, True, "denied"),
    ],
)
def test_6_a_decided_code_still_answers(
    browser: Client, ada: Any, decide: Any, fetched: bool, expected: str
) -> None:
    """The reference has deleted a code whose decision was fetched; ours is kept."""
    started = started_and_claimed(ada)
    decide(DeviceCode.objects.get(), ada)
    if fetched:
        poll(browser, started)
        assert DeviceCode.objects.get().status == "consumed"
    body = look_up(browser, code_of(started)).json()
    assert (body["status"], body["client_id"]) == (expected, CLIENT)


def test_6_the_answer_is_not_cached(client: Client) -> None:
    """The reference sends no ``Cache-Control`` here."""
    assert look_up(client, "X")["Cache-Control"] == "no-store"


def test_6_head_is_get_without_a_body(client: Client) -> None:
    started = start_login(CLIENT)
    response = client.head("/auth/device", {"user_code": code_of(started)})
    assert (response.status_code, response.content) == (200, b"")


# 7. POST /device/approve and POST /device/deny


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("deny", "denied")])
class TestSection7:
    """The two differ in a word."""

    def test_7_the_owner_decides(
        self, browser: Client, ada: Any, decision: str, status: str
    ) -> None:
        started = started_and_claimed(ada)
        response = post(browser, f"device/{decision}", {"userCode": code_of(started)})
        assert told(response) == (200, {"success": True})
        assert row_of(started).status == status

    def test_7_the_body_is_judged_before_the_caller(
        self, client: Client, decision: str, status: str
    ) -> None:
        wrong = "[body.userCode] Invalid input: expected string, received undefined"
        assert told(post(client, f"device/{decision}")) == invalid(wrong)
        assert send(client, f"device/{decision}", "x", "text/plain").status_code == 415

    def test_7_without_a_session_it_is_401(
        self, client: Client, decision: str, status: str
    ) -> None:
        response = post(client, f"device/{decision}", {"userCode": "X"})
        assert told(response) == oauth("unauthorized", "Authentication required", 401)

    def test_7_an_unknown_code_is_invalid(
        self, browser: Client, decision: str, status: str
    ) -> None:
        response = post(browser, f"device/{decision}", {"userCode": "BCDFGHJK"})
        assert told(response) == oauth("invalid_request", "Invalid user code")

    def test_7_an_expired_code_is_too_late(
        self, browser: Client, ada: Any, decision: str, status: str, clock: FrozenDateTimeFactory
    ) -> None:
        started = started_and_claimed(ada)
        clock.move_to(END)
        browser = browser_of(ada)
        response = post(browser, f"device/{decision}", {"userCode": code_of(started)})
        assert told(response) == oauth("expired_token", "User code has expired")

    @pytest.mark.parametrize("before", ["approved", "denied", "consumed"])
    def test_7_a_decided_code_is_not_decided_again(
        self, browser: Client, ada: Any, decision: str, status: str, before: str
    ) -> None:
        started = started_and_claimed(ada)
        DeviceCode.objects.update(status=before)
        response = post(browser, f"device/{decision}", {"userCode": code_of(started)})
        assert told(response) == oauth("invalid_request", "Device code already processed")
        assert row_of(started).status == before

    def test_7_an_unclaimed_code_says_how_to_claim_it(
        self, browser: Client, decision: str, status: str
    ) -> None:
        started = start_login(CLIENT)
        response = post(browser, f"device/{decision}", {"userCode": code_of(started)})
        words = (
            "Device code has not been claimed by a verifying session; call `GET /device` with the "
            "`user_code` while signed in before approving or denying"
        )
        assert told(response) == oauth("invalid_request", words)

    def test_7_somebody_elses_code_is_403(
        self, grace: Client, ada: Any, decision: str, status: str
    ) -> None:
        started = started_and_claimed(ada)
        response = post(grace, f"device/{decision}", {"userCode": code_of(started)})
        words = f"You are not authorized to {decision} this device authorization"
        assert told(response) == oauth("access_denied", words, 403)
        assert row_of(started).status == "pending"

    def test_7_a_form_is_415(self, browser: Client, decision: str, status: str) -> None:
        assert form(browser, f"device/{decision}", "userCode=X").status_code == 415

    def test_7_the_last_writer_does_not_win(
        self, browser: Client, ada: Any, decision: str, status: str
    ) -> None:
        """The reference updates without a guard, so that the second decision holds."""
        started = started_and_claimed(ada)
        other = {"approve": "deny", "deny": "approve"}[decision]
        body = {"userCode": code_of(started)}
        answers = [post(browser, f"device/{verb}", body) for verb in (decision, other)]
        assert [answer.status_code for answer in answers] == [200, 400]
        assert row_of(started).status == status


# 8. Claim and ownership


def test_8_another_session_of_the_same_human_may_approve(browser: Client, ada: Any) -> None:
    started = start_login(CLIENT)
    look_up(browser, code_of(started))
    response = post(browser_of(ada), "device/approve", {"userCode": code_of(started)})
    assert response.status_code == 200


def test_8_an_anonymous_look_has_to_be_repeated_after_signing_in(
    client: Client, browser: Client
) -> None:
    started = start_login(CLIENT)
    look_up(client, code_of(started))
    body = {"userCode": code_of(started)}
    assert post(browser, "device/approve", body).status_code == 400
    look_up(browser, code_of(started))
    assert post(browser, "device/approve", body).status_code == 200


def test_8_the_first_of_two_humans_owns_it(browser: Client, grace: Client) -> None:
    started = start_login(CLIENT)
    first, second = (look_up(client, code_of(started)).json() for client in (browser, grace))
    assert ("client_id" in first, "client_id" in second) == (True, False)
    body = {"userCode": code_of(started)}
    assert post(grace, "device/deny", body).status_code == 403
    assert post(browser, "device/deny", body).status_code == 200


# 9. User-code matching


@pytest.mark.parametrize(
    ("disguise", "case"),
    in_turn(
        ["{0}{1}", "{0}-{1}", "{0} {1}", "{0}\t{1}\n", "{0}.{1}", " -{0}--{1}- ", "{0}\u2014{1}"],
        [str.upper, str.lower],
    ),
)
def test_9_case_spaces_and_punctuation_do_not_matter(
    client: Client, disguise: str, case: Callable[[str], str]
) -> None:
    code = code_of(start_login(CLIENT))
    typed = case(disguise.format(code[:4], code[4:]))
    assert look_up(client, typed).status_code == 200


def test_9_and_nowhere_else_either(browser: Client, ada: Any) -> None:
    code = code_of(started_and_claimed(ada)).lower()
    assert (
        post(browser, "device/approve", {"userCode": f"{code[:4]} {code[4:]}"}).status_code == 200
    )


@pytest.mark.parametrize("wrong", ["{0}X", "{1}", "X{0}", "{0}é0"])
def test_9_anything_more_or_less_is_another_code(client: Client, wrong: str) -> None:
    code = code_of(start_login(CLIENT))
    assert look_up(client, wrong.format(code, code[1:])).status_code == 400


# 10. POST /device/token


def poll(client: Client, started: Any, **changes: Any) -> Any:
    return post(client, "device/token", {**poll_body(started), **changes})


def test_10_the_token(client: Client, ada: Any) -> None:
    """The reference's token is 32 letters and digits."""
    response = poll(client, approved(ada, scope="sandbox:read"))
    status, body = told(response)
    assert status == 200
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": 604800,
        "scope": "sandbox:read",
    }
    assert body["access_token"].startswith("pks_")
    assert "Set-Cookie" not in response
    assert "set-auth-token" not in response
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert client.get("/auth/get-session", headers=headers).json()["user"]["id"] == str(ada.pk)


def test_10_without_a_scope_it_is_all_that_the_human_is_given(client: Client, ada: Any) -> None:
    """The reference answers the scope that was asked for; RFC 6749, 5.1 wants what is granted."""
    with pikku_settings(LOGIN_SCOPES=["sandbox:read", "perm:*"]):
        assert poll(client, approved(ada)).json()["scope"] == "perm:* sandbox:read"


def test_10_a_form_does_as_well(client: Client, ada: Any) -> None:
    """The reference answers a form with 415; RFC 8628, 3.4 has nothing else."""
    body = poll_body(approved(ada))
    response = client.post("/auth/device/token", body, headers={})
    assert response.status_code == 415
    pairs = "&".join(f"{name}={value}" for name, value in body.items())
    assert form(client, "device/token", pairs).json()["token_type"] == "Bearer"


def test_10_where_the_device_is_is_kept(ada: Any) -> None:
    client = Client(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="pikku/1")
    poll(client, approved(ada))
    login = LoginSession.objects.get()
    assert (login.ip, login.user_agent) == ("192.0.2.7", "pikku/1")


@pytest.mark.parametrize("grant_type", ["password", "", None, 7])
def test_10_another_grant_type_is_told_in_both_dialects(client: Client, grant_type: Any) -> None:
    """The reference has only ``message`` and ``code``."""
    wrong = f'[body.grant_type] Invalid input: expected "{GRANT_TYPE}"'
    body = {"grant_type": grant_type, "device_code": "x", "client_id": "x"}
    assert told(post(client, "device/token", body)) == (
        400,
        {
            "message": wrong,
            "code": "VALIDATION_ERROR",
            "error": "unsupported_grant_type",
            "error_description": wrong,
        },
    )


@pytest.mark.parametrize("field", ["device_code", "client_id"])
def test_10_a_missing_field_is_told_in_both_dialects(client: Client, field: str) -> None:
    """The reference has only ``message`` and ``code``."""
    body = {"grant_type": GRANT_TYPE, "device_code": "x", "client_id": "x"}
    del body[field]
    wrong = f"[body.{field}] Invalid input: expected string, received undefined"
    assert told(post(client, "device/token", body)) == (
        400,
        {
            "message": wrong,
            "code": "VALIDATION_ERROR",
            "error": "invalid_request",
            "error_description": wrong,
        },
    )


def test_10_a_client_that_is_not_allowed_is_an_invalid_grant_here(client: Client, ada: Any) -> None:
    started = approved(ada)
    with pikku_settings(DEVICE_CLIENT_IDS=["ours"]):
        response = poll(client, started)
    assert told(response) == oauth("invalid_grant", "Invalid client ID")


@pytest.mark.parametrize("code", ["", "x", "pkd_" + "0" * 49, "ключ", "x" * 100_000])
def test_10_an_unknown_code_is_an_invalid_grant(client: Client, code: str) -> None:
    body = {"grant_type": GRANT_TYPE, "device_code": code, "client_id": CLIENT}
    response = post(client, "device/token", body)
    assert told(response) == oauth("invalid_grant", "Invalid device code")


def test_10_another_clients_code_is_an_invalid_grant_and_no_poll(client: Client, ada: Any) -> None:
    started = approved(ada)
    response = poll(client, started, client_id="another")
    assert told(response) == oauth("invalid_grant", "Client ID mismatch")
    assert row_of(started).last_polled_at is None
    assert poll(client, started).status_code == 200


def test_10_a_pending_code_is_pending(client: Client) -> None:
    response = poll(client, start_login(CLIENT))
    assert told(response) == oauth("authorization_pending", "Authorization pending")


def test_10_a_poll_too_early_is_told_to_slow_down_and_slowed_down(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    """The reference never raises the interval, and knows no second of tolerance."""
    started = start_login(CLIENT)
    answers = []
    for wait in (0, 3, 2, 4, 9):
        clock.tick(wait * SECOND)
        answers.append(poll(client, started).json()["error"])
    assert answers == [
        "authorization_pending", "slow_down", "slow_down", "authorization_pending",
        "authorization_pending",
    ]  # fmt: skip
    assert row_of(started).interval == 10


def test_10_slow_down_has_its_words(client: Client) -> None:
    started = start_login(CLIENT)
    poll(client, started)
    assert told(poll(client, started)) == oauth("slow_down", "Polling too frequently")


def test_10_an_early_poll_of_an_approved_code_is_slowed_down_too(
    client: Client, ada: Any, clock: FrozenDateTimeFactory
) -> None:
    started = started_and_claimed(ada)
    poll(client, started)
    approve(row_of(started), ada)
    clock.tick(SECOND)
    assert poll(client, started).json()["error"] == "slow_down"
    clock.tick(9 * SECOND)
    assert poll(client, started).status_code == 200


@pytest.mark.parametrize("status", ["pending", "approved"])
def test_10_an_expired_code_is_told_in_any_state(
    client: Client, ada: Any, clock: FrozenDateTimeFactory, status: str
) -> None:
    """The reference deletes the row; ours is kept until it is pruned, so it is told again."""
    started = approved(ada)
    DeviceCode.objects.update(status=status)
    clock.move_to(END)
    error = oauth("expired_token", "Device code has expired")
    assert told(poll(client, started)) == error
    clock.tick(5 * SECOND)
    assert told(poll(client, started)) == error


def test_10_a_denied_code_is_told_once(
    client: Client, browser: Client, ada: Any, clock: FrozenDateTimeFactory
) -> None:
    started = started_and_claimed(ada)
    post(browser, "device/deny", {"userCode": code_of(started)})
    assert told(poll(client, started)) == oauth("access_denied", "Access denied")
    clock.tick(5 * SECOND)
    assert told(poll(client, started)) == oauth("invalid_grant", "Invalid device code")
    assert row_of(started).status == "consumed"


def test_10_whose_human_is_gone_is_unknown(client: Client, ada: Any) -> None:
    """The reference answers 500 ``server_error`` and keeps the row."""
    started = approved(ada)
    ada.delete()
    assert told(poll(client, started)) == oauth("invalid_grant", "Invalid device code")


def test_10_whose_human_is_deactivated_is_denied(client: Client, ada: Any) -> None:
    """The reference knows no such state."""
    started = approved(ada)
    ada.is_active = False
    ada.save()
    assert told(poll(client, started)) == oauth("access_denied", "Access denied")


def test_10_the_order_of_the_checks(client: Client, ada: Any, clock: FrozenDateTimeFactory) -> None:
    started = approved(ada)
    DeviceCode.objects.update(last_polled_at=NOW + timedelta(minutes=10))
    clock.move_to(END)
    with pikku_settings(DEVICE_CLIENT_IDS=["another"]):
        assert poll(client, started).json()["error_description"] == "Invalid client ID"
    mismatch = poll(client, started, client_id="another")
    assert mismatch.json()["error_description"] == "Client ID mismatch"
    assert poll(client, started).json()["error"] == "slow_down"
    clock.tick(9 * SECOND)
    assert poll(client, started).json()["error"] == "expired_token"


@pytest.mark.parametrize("state", ["pending", "approved", "denied", "consumed", "unknown"])
def test_10_nothing_is_cached(client: Client, ada: Any, state: str) -> None:
    started = approved(ada)
    changes = {"device_code": "x"} if state == "unknown" else {}
    DeviceCode.objects.update(status="approved" if state == "unknown" else state)
    response = poll(client, started, **changes)
    assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")


# 12. Single use


def test_12_a_code_is_good_for_one_token(client: Client, ada: Any) -> None:
    """The reference's row is gone; ours is kept as consumed, and a replay ends the login."""
    started = approved(ada)
    token = poll(client, started).json()["access_token"]
    assert told(poll(client, started)) == oauth("invalid_grant", "Invalid device code")
    assert row_of(started).status == "consumed"
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/auth/get-session", headers=headers).json() is None


# 13. Rate limiting


def test_13_the_sixth_wrong_code_of_an_address_is_429(client: Client) -> None:
    """The reference counts every look-up, five in the life of a code."""
    started = start_login(CLIENT)
    for _ in range(5):
        assert look_up(client, "BCDFGHJK").status_code == 400
    for typed in ("BCDFGHJK", code_of(started)):
        response = look_up(client, typed)
        assert (response.status_code, response["X-Retry-After"]) == (429, "600")


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.7", "2001:db8::7", ""])
@pytest.mark.parametrize("stranger", ["anonymous", "somebody else who is signed in"])
def test_13_wrong_codes_of_others_at_an_address_do_not_hold_a_signed_in_human_up(
    browser: Client, grace: Client, stranger: str, address: str
) -> None:
    guesser = Client() if stranger == "anonymous" else grace
    at = {"REMOTE_ADDR": address}
    wrong = {"user_code": "BCDFGHJK"}
    statuses = [guesser.get("/auth/device", wrong, **at).status_code for _ in range(6)]  # type: ignore[arg-type]
    assert statuses == [400] * 5 + [429]
    code = code_of(start_login(CLIENT))
    right: Any = browser.get("/auth/device", {"user_code": code}, **at)  # type: ignore[arg-type]
    page: Any = browser.post("/auth/activate", {"step": "look-up", "user_code": code}, **at)  # type: ignore[arg-type]
    approving: Any = browser.post(
        "/auth/device/approve",
        {"userCode": code},
        "application/json",
        headers={"Origin": "http://testserver"},
        **at,
    )  # type: ignore[arg-type]
    assert [right.status_code, page.status_code, approving.status_code] == [200, 200, 200]


def test_13_wrong_codes_of_a_signed_in_human_follow_them_to_other_addresses(
    browser: Client,
) -> None:
    statuses = [
        browser.get(
            "/auth/device", {"user_code": "BCDFGHJK"}, REMOTE_ADDR=f"203.0.113.{number}"
        ).status_code
        for number in range(6)
    ]
    assert statuses == [400] * 5 + [429]
    assert look_up(Client(), "BCDFGHJK").status_code == 400


def test_13_right_codes_are_not_counted(client: Client) -> None:
    started = start_login(CLIENT)
    assert {look_up(client, code_of(started)).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("decision", DECISIONS)
def test_13_approve_and_deny_are_no_oracle(browser: Client, decision: str) -> None:
    """The reference leaves these two unthrottled."""
    started = start_login(CLIENT)
    for _ in range(5):
        post(browser, f"device/{decision}", {"userCode": "BCDFGHJK"})
    answers = {
        (response.status_code, response.content)
        for response in (
            post(browser, f"device/{decision}", {"userCode": code})
            for code in ("BCDFGHJK", code_of(started))
        )
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 429


def test_13_polling_is_not_counted(client: Client) -> None:
    started = start_login(CLIENT)
    assert {poll(client, started).status_code for _ in range(30)} == {400}
    for _ in range(5):
        look_up(client, "BCDFGHJK")
    assert poll(client, started).status_code == 400


def test_13_a_new_window_begins_ten_minutes_after_the_first(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    for _ in range(6):
        look_up(client, "BCDFGHJK")
        clock.tick(60 * SECOND)
    clock.tick(4 * 60 * SECOND)
    assert look_up(client, "BCDFGHJK").status_code == 400


# 14. Sessions and the bearer


@pytest.mark.parametrize(
    "header",
    ["Bearer {}", "bearer {}", "BEARER {}", "Bearer    {}", "Bearer {}  ", "  Bearer {}"],
)
def test_14_the_scheme_is_compared_without_case_and_the_rest_trimmed(
    client: Client, ada: Any, header: str
) -> None:
    token = logged_in(ada).token.reveal()
    response = client.get("/auth/get-session", headers={"Authorization": header.format(token)})
    assert response.json()["session"]["token"] == token


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Basic cGthXzox", "Bearer nonsense", "Bearer pks_nonsense",
        "Bearer pks_" + "0" * 49, "Token {}", "{}", "Bearer {}.signature", "Bearer {0} {0}",
    ],
)  # fmt: skip
def test_14_a_bad_bearer_is_nobody_and_no_error(client: Client, ada: Any, header: str) -> None:
    """The reference takes a signed token, too; it gives none to a device."""
    headers = {"Authorization": header.format(logged_in(ada).token.reveal())}
    response = client.get("/auth/get-session", headers=headers)
    assert told(response) == (200, None)
    assert told(client.get("/auth/list-sessions", headers=headers)) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("header", ["Basic YWRhOjE=", "Bearer a.j.wt", ""])
def test_14_what_is_not_ours_falls_back_to_the_cookie(
    browser: Client, ada: Any, header: str
) -> None:
    response = browser.get("/auth/get-session", headers={"Authorization": header})
    assert response.json()["user"]["id"] == str(ada.pk)


def test_14_a_bad_bearer_of_ours_does_not(browser: Client) -> None:
    """The reference falls back to a valid cookie; one bad credential is enough for us."""
    headers = {"Authorization": "Bearer pks_" + "0" * 49}
    assert browser.get("/auth/get-session", headers=headers).json() is None
    assert browser.get("/auth/list-sessions", headers=headers).status_code == 401


def test_14_a_user_model_may_have_days_for_moments() -> None:
    assert in_iso(date(2026, 11, 30)) == "2026-11-30T00:00:00.000Z"


class TestSection14GetSession:
    """``GET get-session``."""

    def test_14_nobody_is_null_and_200(self, client: Client) -> None:
        response = client.get("/auth/get-session")
        assert told(response) == (200, None)
        assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")

    def test_14_the_session_of_a_bearer(self, ada: Any, clock: FrozenDateTimeFactory) -> None:
        """The reference has no ``clientId``, no ``scopes`` and no ``maxExpiresAt``."""
        client = Client(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="pikku/1")
        token = poll(client, approved(ada, scope="sandbox:read")).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        clock.tick(SECOND)
        body = client.get("/auth/get-session", headers=headers).json()
        assert body["session"] == {
            "id": str(LoginSession.objects.get().pk),
            "token": token,
            "userId": str(ada.pk),
            "clientId": CLIENT,
            "scopes": ["sandbox:read"],
            "ipAddress": "192.0.2.7",
            "userAgent": "pikku/1",
            "createdAt": "2026-12-01T12:00:00.000Z",
            "updatedAt": "2026-12-01T12:00:00.000Z",
            "expiresAt": "2026-12-08T12:00:00.000Z",
            "maxExpiresAt": "2027-03-01T12:00:00.000Z",
        }

    def test_14_the_user(self, client: Client, ada: Any) -> None:
        ada.email = "ada@example.com"
        ada.save()
        user = client.get("/auth/get-session", headers=bearer(logged_in(ada))).json()["user"]
        assert user == {
            "id": str(ada.pk),
            "name": ada.get_username(),
            "username": ada.get_username(),
            "email": "ada@example.com",
            "emailVerified": False,
            "image": None,
            "createdAt": "2026-12-01T12:00:00.000Z",
            "updatedAt": "2026-12-01T12:00:00.000Z",
        }

    def test_14_an_ip_address_that_nobody_knows_is_empty(self, client: Client, ada: Any) -> None:
        body = client.get("/auth/get-session", headers=bearer(logged_in(ada))).json()
        assert body["session"]["ipAddress"] == body["session"]["userAgent"] == ""

    def test_14_the_session_of_a_browser_has_no_token(self, browser: Client, ada: Any) -> None:
        """The reference gives a browser the token of its cookie."""
        body = browser.get("/auth/get-session", headers={"User-Agent": "Firefox/150"}).json()
        assert body["user"]["id"] == body["session"]["userId"] == str(ada.pk)
        assert body["session"] == {
            "id": "browser",
            "token": None,
            "userId": str(ada.pk),
            "ipAddress": "",
            "userAgent": "Firefox/150",
            "createdAt": "2026-12-01T12:00:00.000Z",
            "updatedAt": "2026-12-01T12:00:00.000Z",
            "expiresAt": "2026-12-15T12:00:00.000Z",
        }

    def test_14_the_bearer_decides_beside_a_cookie(self, grace: Client, ada: Any) -> None:
        body = grace.get("/auth/get-session", headers=bearer(logged_in(ada))).json()
        assert body["user"]["id"] == str(ada.pk)

    @pytest.mark.parametrize("end", ["revoked", "expired", "deactivated", "password"])
    def test_14_a_dead_login_is_null(
        self, client: Client, ada: Any, clock: FrozenDateTimeFactory, end: str
    ) -> None:
        """The reference deletes expired rows and clears cookies."""
        issued = logged_in(ada)
        if end == "revoked":
            revoke_login(issued.login)
        if end == "expired":
            clock.tick(timedelta(days=7))
        if end == "deactivated":
            ada.is_active = False
        if end == "password":
            ada.set_password("another-horse")
        ada.save()
        response = client.get("/auth/get-session", headers=bearer(issued))
        assert told(response) == (200, None)
        assert LoginSession.objects.exists()

    @pytest.mark.parametrize("query", ["", "?disableCookieCache=true"])
    def test_14_a_login_in_use_is_renewed_daily_and_says_so(
        self, client: Client, ada: Any, clock: FrozenDateTimeFactory, query: str
    ) -> None:
        """The reference echoes the token in ``set-auth-token``; ours stays the same."""
        issued = logged_in(ada)
        clock.tick(timedelta(days=1))
        response = client.get(f"/auth/get-session{query}", headers=bearer(issued))
        session = response.json()["session"]
        assert session["expiresAt"] == "2026-12-09T12:00:00.000Z"
        assert session["updatedAt"] == "2026-12-02T12:00:00.000Z"
        assert session["createdAt"] == "2026-12-01T12:00:00.000Z"
        assert session["token"] == issued.token.reveal()
        assert "set-auth-token" not in response
        assert "Set-Cookie" not in response

    def test_14_within_a_day_it_is_not(
        self, client: Client, ada: Any, clock: FrozenDateTimeFactory
    ) -> None:
        issued = logged_in(ada)
        clock.tick(timedelta(days=1) - SECOND)
        session = client.get("/auth/get-session", headers=bearer(issued)).json()["session"]
        assert session["expiresAt"] == "2026-12-08T12:00:00.000Z"

    def test_14_post_is_405(self, client: Client) -> None:
        assert told(post(client, "get-session")) == (
            405,
            {
                "message": "POST method requires deferSessionRefresh to be enabled in session "
                "config",
                "code": "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED",
            },
        )

    def test_14_head_is_get_without_a_body(self, client: Client) -> None:
        response = client.head("/auth/get-session")
        assert (response.status_code, response.content) == (200, b"")


class TestSection14SignOut:
    """``POST sign-out``."""

    def test_14_it_ends_the_login_that_calls(self, client: Client, ada: Any) -> None:
        mine, other = logged_in(ada), logged_in(ada)
        response = client.post("/auth/sign-out", headers=bearer(mine))
        assert told(response) == (200, {"success": True})
        assert client.get("/auth/get-session", headers=bearer(mine)).json() is None
        assert client.get("/auth/get-session", headers=bearer(other)).json() is not None

    def test_14_it_ends_the_session_of_a_browser(self, browser: Client, ada: Any) -> None:
        login = logged_in(ada).login
        assert told(post(browser, "sign-out")) == (200, {"success": True})
        assert browser.get("/auth/get-session").json() is None
        assert LoginSession.objects.get(pk=login.pk).revoked_at is None

    @pytest.mark.parametrize(
        "header", ["", "Bearer nonsense", "Bearer pks_" + "0" * 49, "Basic cGthXzox"]
    )
    def test_14_it_is_200_whatever_was_presented(self, client: Client, header: str) -> None:
        response = client.post("/auth/sign-out", headers={"Authorization": header})
        assert told(response) == (200, {"success": True})

    @pytest.mark.parametrize(
        ("body", "content_type"),
        in_turn(
            ["", "{}", '{"callbackURL": "/"}', "nonsense"],
            ["application/json", "text/plain", FORM],
        ),
    )
    def test_14_its_body_does_not_matter(
        self, client: Client, ada: Any, content_type: str, body: str
    ) -> None:
        """The reference refuses other media types and may add ``url`` and ``redirect``."""
        response = client.post("/auth/sign-out", body, content_type, headers=bearer(logged_in(ada)))
        assert told(response) == (200, {"success": True})

    def test_14_it_says_who_did_it(self, client: Client, ada: Any) -> None:
        client.post("/auth/sign-out", headers=bearer(logged_in(ada)), REMOTE_ADDR="192.0.2.7")
        event = AuditEvent.objects.get(action="login_revoked")
        assert (event.actor, event.source, event.ip) == (ada, "web", "192.0.2.7")
        assert event.details == {"reason": "signed out"}


class TestSection14ListSessions:
    """``GET list-sessions``."""

    def test_14_the_live_logins_of_the_caller_without_their_tokens(
        self, client: Client, ada: Any, make_user: MakeUser
    ) -> None:
        """The reference lists every raw token of the user."""
        first, second = logged_in(ada), logged_in(ada, client_id="another")
        revoke_login(logged_in(ada).login)
        logged_in(make_user("grace"))
        response = client.get("/auth/list-sessions", headers=bearer(first))
        status, body = told(response)
        assert status == 200
        assert [session["id"] for session in body] == [
            str(second.login.pk),
            str(first.login.pk),
        ]
        assert [session["clientId"] for session in body] == ["another", CLIENT]
        assert not {"digest", "start"} & set(body[0])
        for issued in (first, second):
            assert issued.token.reveal() not in response.content.decode()
            assert issued.login.digest not in response.content.decode()

    def test_14_the_token_of_the_list_ends_a_login(self, client: Client, ada: Any) -> None:
        """better-auth's client passes it on to ``revoke-session``."""
        mine, other = logged_in(ada), logged_in(ada)
        listed = client.get("/auth/list-sessions", headers=bearer(mine)).json()
        post(client, "revoke-session", {"token": listed[0]["token"]}, **bearer(mine))
        assert client.get("/auth/get-session", headers=bearer(other)).json() is None
        assert client.get("/auth/get-session", headers=bearer(mine)).json() is not None

    def test_14_the_token_of_the_list_is_no_credential(self, client: Client, ada: Any) -> None:
        mine = logged_in(ada)
        (listed,) = client.get("/auth/list-sessions", headers=bearer(mine)).json()
        headers = {"Authorization": f"Bearer {listed['token']}"}
        assert client.get("/auth/get-session", headers=headers).json() is None

    def test_14_a_browser_sees_them_too(self, browser: Client, ada: Any) -> None:
        login = logged_in(ada).login
        assert [one["id"] for one in browser.get("/auth/list-sessions").json()] == [str(login.pk)]

    def test_14_however_old_the_session_is(
        self, client: Client, ada: Any, clock: FrozenDateTimeFactory
    ) -> None:
        """The reference refuses one that is older than a day: ``SESSION_NOT_FRESH``."""
        issued = logged_in(ada)
        clock.tick(timedelta(days=6))
        assert client.get("/auth/list-sessions", headers=bearer(issued)).status_code == 200


class TestSection14RevokeSession:
    """``POST revoke-session``."""

    @pytest.mark.parametrize("how", ["token", "id"])
    def test_14_it_ends_one_of_the_callers_logins(self, client: Client, ada: Any, how: str) -> None:
        """The reference knows no id: its list has the tokens."""
        mine, other = logged_in(ada), logged_in(ada)
        named = {"token": other.token.reveal(), "id": str(other.login.pk)}[how]
        response = post(client, "revoke-session", {how: named}, **bearer(mine))
        assert told(response) == (200, {"status": True})
        assert client.get("/auth/get-session", headers=bearer(other)).json() is None
        assert client.get("/auth/get-session", headers=bearer(mine)).json() is not None
        assert AuditEvent.objects.get(action="login_revoked").actor == ada

    def test_14_it_may_end_the_one_that_calls(self, client: Client, ada: Any) -> None:
        mine = logged_in(ada)
        post(client, "revoke-session", {"token": mine.token.reveal()}, **bearer(mine))
        assert client.get("/auth/get-session", headers=bearer(mine)).json() is None

    @pytest.mark.parametrize("how", ["token", "id", "id as token"])
    def test_14_somebody_elses_is_left_alone_and_not_told(
        self, client: Client, ada: Any, make_user: MakeUser, how: str
    ) -> None:
        theirs = logged_in(make_user("grace"))
        named = theirs.token.reveal() if how == "token" else str(theirs.login.pk)
        member = how.rpartition(" ")[2]
        response = post(client, "revoke-session", {member: named}, **bearer(logged_in(ada)))
        assert told(response) == (200, {"status": True})
        assert client.get("/auth/get-session", headers=bearer(theirs)).json() is not None

    @pytest.mark.parametrize(
        "body",
        [{"token": "unknown"}, {"token": ""}, {"id": ""}, {"id": "x"}, {"id": "1", "token": 1}],
    )
    def test_14_an_unknown_one_is_no_error(self, client: Client, ada: Any, body: Any) -> None:
        mine = logged_in(ada)
        body = {name: "0" if value == "1" else value for name, value in body.items()}
        response = post(client, "revoke-session", body, **bearer(mine))
        assert told(response) == (200, {"status": True})
        assert client.get("/auth/get-session", headers=bearer(mine)).json() is not None

    @pytest.mark.parametrize(
        ("body", "received"),
        [({}, "undefined"), ({"token": 7}, "number"), ({"id": 7}, "undefined")],
    )
    def test_14_a_token_is_wanted(self, client: Client, ada: Any, body: Any, received: str) -> None:
        response = post(client, "revoke-session", body, **bearer(logged_in(ada)))
        wrong = f"[body.token] Invalid input: expected string, received {received}"
        assert told(response) == invalid(wrong)


class TestSection14RevokeSessions:
    """``POST revoke-sessions`` and ``POST revoke-other-sessions``."""

    def test_14_all_of_them(self, client: Client, ada: Any, make_user: MakeUser) -> None:
        mine, other, theirs = logged_in(ada), logged_in(ada), logged_in(make_user("grace"))
        response = post(client, "revoke-sessions", **bearer(mine))
        assert told(response) == (200, {"status": True})
        alive = [
            client.get("/auth/get-session", headers=bearer(issued)).json() is not None
            for issued in (mine, other, theirs)
        ]
        assert alive == [False, False, True]

    def test_14_all_but_the_one_that_calls(self, client: Client, ada: Any) -> None:
        mine, other = logged_in(ada), logged_in(ada)
        response = post(client, "revoke-other-sessions", **bearer(mine))
        assert told(response) == (200, {"status": True})
        alive = [
            client.get("/auth/get-session", headers=bearer(issued)).json() is not None
            for issued in (mine, other)
        ]
        assert alive == [True, False]

    @pytest.mark.parametrize("path", ["revoke-sessions", "revoke-other-sessions"])
    def test_14_a_browser_ends_every_login_and_stays_signed_in(
        self, browser: Client, ada: Any, path: str
    ) -> None:
        logged_in(ada)
        assert post(browser, path).status_code == 200
        assert browser.get("/auth/list-sessions").json() == []
        assert AuditEvent.objects.get(action="login_revoked").actor == ada


def test_14_a_key_is_refused_where_the_reference_takes_it_for_its_owner(client: Client) -> None:
    """The reference can make a key its owner's session, which lists raw tokens and approves."""
    key = mint_key(create_service_user("builder"), scopes=["*"]).secret.reveal()
    response = client.get("/auth/get-session", headers={"x-api-key": key})
    assert told(response) == (401, UNAUTHORIZED)


@override_settings(PIKKU_AUTH={"PREFIXES": {"login": "acme"}})
def test_14_the_prefix_of_tokens_is_a_setting(client: Client, ada: Any) -> None:
    issued = logged_in(ada)
    assert issued.token.reveal().startswith("acme_")
    assert client.get("/auth/get-session", headers=bearer(issued)).json() is not None
