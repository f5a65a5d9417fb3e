"""RFC 8628's MUSTs and SHOULDs that a server can keep, and those of its neighbours.

A test's number is the section. What only a client can keep is in the client's tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from pikku_auth.core.user_codes import ALPHABET, LENGTH
from pikku_auth.flows import revoke_login
from pikku_auth.flows.device_flow import deny, start_login
from pikku_auth.models import DeviceCode, LoginSession
from tests.conftest import dump_of_tables, pikku_settings
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
FORM = "application/x-www-form-urlencoded"

MakeUser = Callable[..., Any]


@pytest.fixture(autouse=True)
def clock() -> Iterator[FrozenDateTimeFactory]:
    with freeze_time(NOW) as freeze:
        yield freeze


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


def form(client: Client, path: str, body: str) -> Any:
    return client.post(f"/auth/{path}", body, content_type=FORM)


def poll(client: Client, started: Any, **changes: str) -> Any:
    return client.post("/auth/device/token", {**poll_body(started), **changes}, "application/json")


# 3.1 Device Authorization Request


def test_3_1_a_request_is_a_form_that_is_posted(client: Client) -> None:
    assert form(client, "device/code", "client_id=pikku-cli").status_code == 200
    assert client.get("/auth/device/code", {"client_id": "pikku-cli"}).status_code == 404


def test_3_1_client_id_is_required(client: Client) -> None:
    response = form(client, "device/code", "scope=")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_3_1_scope_is_optional(client: Client) -> None:
    assert form(client, "device/code", "client_id=x").status_code == 200
    assert form(client, "device/code", "client_id=x&scope=sandbox:read").status_code == 200


def test_3_1_a_parameter_without_a_value_is_treated_as_omitted(client: Client) -> None:
    assert form(client, "device/code", "client_id=").json()["error"] == "invalid_request"
    assert form(client, "device/code", "client_id=x&scope=").status_code == 200


def test_3_1_an_unrecognised_parameter_is_ignored(client: Client) -> None:
    assert form(client, "device/code", "client_id=x&audience=y").status_code == 200


def test_3_1_no_parameter_may_be_included_more_than_once(client: Client) -> None:
    response = form(client, "device/code", "client_id=x&client_id=x")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


# 3.2 Device Authorization Response


def test_3_2_the_response_is_json_and_200_and_not_cached(client: Client) -> None:
    response = form(client, "device/code", "client_id=pikku-cli")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"


def test_3_2_it_has_every_required_member(client: Client) -> None:
    body = form(client, "device/code", "client_id=pikku-cli").json()
    kinds = {name: type(body[name]) for name in body}
    assert kinds == {
        "device_code": str,
        "user_code": str,
        "verification_uri": str,
        "verification_uri_complete": str,
        "expires_in": int,
        "interval": int,
    }


def test_3_2_each_response_has_codes_of_its_own(client: Client) -> None:
    bodies = [form(client, "device/code", "client_id=x").json() for _ in range(5)]
    assert len({body["device_code"] for body in bodies}) == 5
    assert len({body["user_code"] for body in bodies}) == 5


def test_3_2_the_codes_live_as_long_as_they_say(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    body = form(client, "device/code", "client_id=pikku-cli").json()
    clock.tick(timedelta(seconds=body["expires_in"]) - timedelta(microseconds=1))
    query = {"user_code": body["user_code"]}
    assert client.get("/auth/device", query).status_code == 200
    clock.tick(timedelta(microseconds=1))
    assert client.get("/auth/device", query).json()["error"] == "expired_token"


def test_3_2_a_device_that_keeps_to_the_interval_is_never_slowed_down(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    body = form(client, "device/code", "client_id=pikku-cli").json()
    request = {
        "grant_type": GRANT_TYPE,
        "device_code": body["device_code"],
        "client_id": "pikku-cli",
    }
    for _ in range(20):
        clock.tick(timedelta(seconds=body["interval"]))
        answer = client.post("/auth/device/token", request, "application/json").json()
        assert answer["error"] == "authorization_pending"


# 3.3 User Interaction


def test_3_3_the_verification_uri_is_short_enough_to_type_and_is_there(
    client: Client, ada: Any
) -> None:
    uri = form(client, "device/code", "client_id=x").json()["verification_uri"]
    assert len(urlsplit(uri).path) <= 20
    assert browser_of(ada).get(uri).status_code == 200


def test_3_3_the_device_code_never_reaches_the_human(client: Client) -> None:
    body = form(client, "device/code", "client_id=x").json()
    assert body["device_code"] not in body["verification_uri_complete"]
    seen = client.get("/auth/device", {"user_code": body["user_code"]})
    assert body["device_code"] not in seen.content.decode()


def test_3_3_1_the_complete_uri_has_the_user_code(client: Client) -> None:
    body = form(client, "device/code", "client_id=x").json()
    complete = urlsplit(body["verification_uri_complete"])
    assert parse_qs(complete.query) == {"user_code": [body["user_code"]]}
    assert body["verification_uri_complete"].startswith(body["verification_uri"])


def test_3_3_1_opening_it_approves_nothing(client: Client, ada: Any) -> None:
    body = form(client, "device/code", "client_id=x").json()
    browser_of(ada).get(body["verification_uri_complete"])
    row = DeviceCode.objects.get()
    assert (row.status, row.user) == ("pending", None)


# 3.4 Device Access Token Request


def test_3_4_a_poll_is_a_form_with_the_grant_type_of_the_rfc(client: Client, ada: Any) -> None:
    body = poll_body(approved(ada))
    assert body["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    request = "&".join(f"{name}={value}" for name, value in body.items())
    assert form(client, "device/token", request).status_code == 200


@pytest.mark.parametrize("field", ["grant_type", "device_code", "client_id"])
def test_3_4_each_parameter_is_required(client: Client, ada: Any, field: str) -> None:
    body = poll_body(approved(ada))
    request = "&".join(f"{name}={value}" for name, value in body.items() if name != field)
    response = form(client, "device/token", request)
    error = "unsupported_grant_type" if field == "grant_type" else "invalid_request"
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert not LoginSession.objects.exists()


def test_3_4_a_code_is_good_only_for_the_client_it_was_issued_to(client: Client, ada: Any) -> None:
    response = poll(client, approved(ada), client_id="another")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


# 3.5 Device Access Token Response


def test_3_5_pending_denied_expired_and_too_fast_have_their_codes(
    client: Client, ada: Any, clock: FrozenDateTimeFactory
) -> None:
    waiting, refused = start_login(CLIENT), started_and_claimed(ada)
    deny(row_of(refused), ada)
    told = [poll(client, waiting), poll(client, waiting), poll(client, refused)]
    clock.tick(timedelta(minutes=10))
    told.append(poll(client, waiting))
    assert [response.json()["error"] for response in told] == [
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
    ]
    assert {response.status_code for response in told} == {400}


def test_3_5_slow_down_adds_five_seconds_to_this_and_all_later_polls(
    client: Client, clock: FrozenDateTimeFactory
) -> None:
    started = start_login(CLIENT)
    poll(client, started)
    assert poll(client, started).json()["error"] == "slow_down"
    for _ in range(3):
        clock.tick(timedelta(seconds=10))
        assert poll(client, started).json()["error"] == "authorization_pending"
        clock.tick(timedelta(seconds=5))
        assert poll(client, started).json()["error"] == "slow_down"
        clock.tick(timedelta(seconds=5))
        assert poll(client, started).json()["error"] == "authorization_pending"


# 5. Security Considerations


def test_5_1_guessing_a_user_code_is_throttled(client: Client) -> None:
    start_login(CLIENT)
    statuses = [client.get("/auth/device?user_code=BCDFGHJK").status_code for _ in range(7)]
    assert statuses == [400] * 5 + [429] * 2


def test_5_1_the_odds_of_a_guess_are_below_two_to_the_minus_32() -> None:
    """5 tries of one human or address in the 10 minutes that a code lives."""
    assert 5 / len(ALPHABET) ** LENGTH < 2**-32


def test_5_2_a_device_code_has_very_high_entropy(client: Client) -> None:
    code = form(client, "device/code", "client_id=x").json()["device_code"]
    assert re.fullmatch(r"pkd_[0-9A-Za-z]{49}", code)
    assert 62**43 > 2**256


def test_5_2_no_code_is_in_the_database(client: Client) -> None:
    body = form(client, "device/code", "client_id=x").json()
    dump = dump_of_tables()
    for code in (body["device_code"], body["user_code"], body["user_code"].replace("-", "")):
        assert code not in dump


def test_5_4_what_is_asked_and_by_whom_is_told_before_the_decision(ada: Any) -> None:
    started = start_login(CLIENT, "sandbox:read")
    body = browser_of(ada).get("/auth/device", {"user_code": started.user_code.reveal()}).json()
    assert (body["client_id"], body["scope"]) == (CLIENT, "sandbox:read")


def test_5_4_codes_live_only_for_minutes(client: Client) -> None:
    assert form(client, "device/code", "client_id=x").json()["expires_in"] <= 15 * 60


def test_5_5_only_whoever_claimed_a_code_decides_it(ada: Any, make_user: MakeUser) -> None:
    started = started_and_claimed(ada)
    spy = browser_of(make_user("grace"))
    for verb in ("approve", "deny"):
        response = post(spy, f"device/{verb}", {"userCode": started.user_code.reveal()})
        assert response.status_code == 403
    assert row_of(started).status == "pending"


def test_5_6_a_client_that_the_host_does_not_know_gets_no_token(client: Client, ada: Any) -> None:
    started = approved(ada)
    with pikku_settings(DEVICE_CLIENT_IDS=["ours"]):
        assert form(client, "device/code", "client_id=x").json()["error"] == "invalid_client"
        assert poll(client, started).json()["error"] == "invalid_grant"


def test_6_1_user_codes_have_no_vowels_and_are_read_in_any_case(client: Client) -> None:
    code = form(client, "device/code", "client_id=x").json()["user_code"]
    assert not set(code) & set("AEIOU")
    assert client.get("/auth/device", {"user_code": code.lower()}).status_code == 200
    assert client.get("/auth/device", {"user_code": code.replace("-", "")}).status_code == 200


# RFC 6749


def test_6749_5_1_a_token_comes_as_json_that_nobody_stores(client: Client, ada: Any) -> None:
    response = poll(client, approved(ada))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")
    assert {"access_token", "token_type", "expires_in"} <= set(response.json())
    assert response.json()["token_type"].lower() == "bearer"


def test_6749_5_1_the_scope_is_told(client: Client, ada: Any) -> None:
    assert poll(client, approved(ada, scope="sandbox:read")).json()["scope"] == "sandbox:read"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"device_code": "unknown"}, "invalid_grant"),
        ({"client_id": "another"}, "invalid_grant"),
        ({}, "authorization_pending"),
    ],
)
def test_6749_5_2_an_error_is_400_and_json_with_a_code_of_ascii(
    client: Client, changes: dict[str, str], error: str
) -> None:
    response = poll(client, start_login(CLIENT), **changes)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    assert (response["Cache-Control"], response["Pragma"]) == ("no-store", "no-cache")
    body = response.json()
    assert body["error"] == error
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", body["error"])


# RFC 7009, as sign-out keeps it


def test_7009_2_1_a_token_that_was_revoked_is_good_for_nothing_at_once(
    client: Client, ada: Any
) -> None:
    issued = logged_in(ada)
    assert client.get("/test/whoami/", headers=bearer(issued)).status_code == 200
    client.post("/auth/sign-out", headers=bearer(issued))
    assert client.get("/test/whoami/", headers=bearer(issued)).status_code == 401


def test_7009_2_2_a_token_that_is_not_good_is_no_error_and_told_nothing(
    client: Client, ada: Any
) -> None:
    live, dead = logged_in(ada), logged_in(ada)
    revoke_login(dead.login)
    presented = [bearer(live), bearer(dead), {"Authorization": "Bearer pks_" + "0" * 49}, {}]
    answers = {
        (response.status_code, response.content, response["Content-Type"])
        for response in (client.post("/auth/sign-out", headers=given) for given in presented)
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 200
