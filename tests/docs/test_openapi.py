"""pikku_auth/openapi.json, against the tables of the pages about the endpoints.

That the endpoints answer so is checked wherever they are asked, by ``must_be_described``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import JsonResponse
from drf_spectacular.validation import validate_schema

from pikku_auth import urls
from pikku_auth.http.openapi import DOCUMENT
from pikku_auth.models.keys import KeyState
from tests.docs import test_http_api, test_keys_over_http
from tests.docs.pages import examples
from tests.docs.test_http_api import GETS_OR_POSTS, PAGES, SESSION, USER, codes_in, endpoints
from tests.openapi import document, must_be_described, operations, resolved
from tests.over_the_wire import RECORD

SCHEMES = {"key": "apiKey", "login": "bearer", "session": "cookieAuth"}
KEYS = {codes_in(row[0])[0]: row for row in test_keys_over_http.rows_below("Endpoints")}
OTHERS = {endpoint for endpoint, _ in endpoints() if endpoint.split()[1] not in PAGES}
COMPONENTS = document()["components"]["schemas"]


def test_the_document_is_valid() -> None:
    validate_schema(document())


def test_the_command_prints_where_it_is() -> None:
    (command,) = examples("openapi.md", "bash")
    here = command.replace("python", sys.executable, 1)
    told = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()) == DOCUMENT


def test_it_has_each_path_and_method_and_no_other() -> None:
    here = {
        f"{method} {pattern.pattern}"
        for pattern in urls.urlpatterns
        for method in getattr(pattern.callback, "_pikku_auth_methods", GETS_OR_POSTS)
    }
    assert {*operations()} == {name for name in here if not name.startswith("HEAD ")}


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    assert len({*names}) == len(names)


def sent_to(endpoint: str) -> set[str]:
    """The members that the document takes; those that may be left out with a mark."""
    operation = operations()[endpoint]
    query = {
        parameter["name"] + ("" if parameter["required"] else "?")
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    body = {
        name + ("" if name in content["schema"].get("required", []) else "?")
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for name in content["schema"].get("properties", {})
    }
    return query | body


def written_for(endpoint: str) -> tuple[set[str], set[str]]:
    """The members of the request and of the answer, as the page has them."""
    if endpoint in KEYS:
        _, request, answer = KEYS[endpoint]
        return {*codes_in(request)}, {*codes_in(answer)}
    rows = [row for (name, _), row in endpoints().items() if name == endpoint]
    asked = {member for request, _ in rows for member in request}
    return asked, {member for _, answer in rows for member in codes_in(answer)} - {"null"}


@pytest.mark.parametrize("endpoint", sorted([*KEYS, *OTHERS]))
def test_members_of_a_request_are_those_of_its_row(endpoint: str) -> None:
    assert sent_to(endpoint) == written_for(endpoint)[0]


UNLISTED = {"iss", "metadata", "claims"}
"""What ``introspect`` tells where a setting or the request wants it: docs/introspection.md."""


@pytest.mark.parametrize("endpoint", sorted([*KEYS, *OTHERS]))
def test_members_of_an_answer_are_those_of_its_row(endpoint: str) -> None:
    content = operations()[endpoint]["responses"]["200"]["content"]["application/json"]["schema"]
    told = {*resolved(content).get("properties", {})}
    written = written_for(endpoint)[1]
    if endpoint == "POST introspect":
        told -= UNLISTED
    if "$ref" in content:
        written |= {*RECORD}
    assert told == written


@pytest.mark.parametrize(
    ("component", "members"),
    [
        ("Key", RECORD),
        ("IssuedKey", [*RECORD[:5], "key", *RECORD[5:]]),
        ("Session", SESSION.split()),
        ("User", USER.split()),
    ],
)
def test_a_component_has_the_members_that_are_written(component: str, members: list[str]) -> None:
    assert [*COMPONENTS[f"PikkuAuth{component}"]["properties"]] == members


def test_each_state_of_a_key_is_in_it() -> None:
    states = COMPONENTS["PikkuAuthKey"]["properties"]["state"]["enum"]
    assert {*states} == {state.value for state in KeyState}


def refusals_in_it() -> set[tuple[str, int, str]]:
    return {
        (endpoint, int(status), code)
        for endpoint, operation in operations().items()
        for status, response in operation["responses"].items()
        for code in re.findall(r"^- `(\w+)`", response["description"], re.MULTILINE)
    }


def refusals_of_any(endpoint: str) -> set[tuple[str, int, str]]:
    """Those of every endpoint, as far as they concern this one."""
    method, _, path = endpoint.partition(" ")
    kinds = {"all", method}
    if "requestBody" in operations()[endpoint] and path not in {"introspect", "revoke"}:
        kinds.add("with members")
    rows = test_http_api.of_every_endpoint()
    return {(endpoint, status, code) for kind, status, code in rows if kind in kinds and code}


@pytest.mark.parametrize("endpoint", sorted([*OTHERS, "POST get-session"]))
def test_refusals_are_those_of_the_tables(endpoint: str) -> None:
    own = {row for row in test_http_api.OWN_REFUSALS if row[0] == endpoint}
    told = {row for row in refusals_in_it() if row[0] == endpoint}
    assert told == own | refusals_of_any(endpoint)


def test_refusals_of_keys_are_those_of_their_table() -> None:
    written = {
        (int(status), codes_in(code)[0])
        for status, code, _ in test_keys_over_http.rows_below("Refusals")
    }
    told = {(status, code) for endpoint, status, code in refusals_in_it() if endpoint in KEYS}
    general = {row[1:] for endpoint in KEYS for row in refusals_of_any(endpoint)}
    assert told == written | general


def test_codes_of_an_answer_are_those_of_its_description() -> None:
    for endpoint, operation in operations().items():
        for status, response in operation["responses"].items():
            written = {*re.findall(r"^- `(\w+)`", response["description"], re.MULTILINE)}
            if written:
                told = codes_of(response["content"]["application/json"]["schema"])
                assert told - {"unavailable"} == written - (
                    {"temporarily_unavailable"} if "unavailable" in told else set()
                ), (endpoint, status)


def codes_of(schema: dict[str, Any]) -> set[str]:
    parts = schema.get("anyOf", [schema])
    return {
        code
        for part in parts
        for name in ("error", "code")
        for code in part["allOf"][1]["properties"].get(name, {}).get("enum", [])
    }


def test_callers_are_those_of_the_table() -> None:
    for endpoint in OTHERS:
        callers = {caller for name, caller in endpoints() if name == endpoint}
        schemes = {name for way in operations()[endpoint]["security"] for name in way or [""]}
        written = {SCHEMES.get(caller, "") for caller in callers}
        if endpoint == "POST sign-out":
            written |= {"bearer", "cookieAuth"}  # whose login it ends
        assert schemes == written, endpoint


def test_each_act_on_keys_names_its_scope() -> None:
    by_path = {"create": {"auth:mint"}, "rotate": {"auth:rotate"}, "delete": {"auth:revoke"}}
    for endpoint in KEYS:
        ways = operations()[endpoint]["security"]
        told = {scope for way in ways for scope in way.get("apiKey", [])}
        verb = endpoint.rpartition("/")[2]
        expected = {"auth:mint", "auth:revoke"} if verb == "update" else {"auth:read"}
        assert told == by_path.get(verb, expected)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, {"ok": True, "more": 1}),
        (200, {"ok": "yes"}),
        (200, {}),
        (418, {"ok": True}),
        (403, {"error": "nonsense"}),
    ],
)
def test_an_answer_that_is_not_written_would_be_noticed(status: int, told: Any) -> None:
    must_be_described("GET ok", Answer({"ok": True}, 200))
    with pytest.raises(AssertionError, match="GET ok answered"):
        must_be_described("GET ok", Answer(told, status))


class Answer(JsonResponse):
    """An answer as the test client has it."""

    def __init__(self, told: Any, status: int) -> None:
        super().__init__(told, status=status)
        self.told = told

    def json(self) -> Any:
        return self.told
