"""The tables and the examples of docs/keys-over-http.md, against the endpoints themselves."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandParser, load_command_class

from pikku_auth import urls
from pikku_auth.flows import Delegation, create_service_user, mint_key
from pikku_auth.flows.keys import managers
from pikku_auth.flows.throttling import KEYS_MANAGED
from pikku_auth.models import ServiceUser
from pikku_auth.views import api_keys, key_records
from tests.docs.pages import examples, text_of
from tests.docs.test_http_api import codes_in
from tests.over_the_wire import CREATE, EVERY_ACT, RECORD, Caller, machine, minted

PAGE = text_of("keys-over-http.md")


def rows_below(heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading."""
    below = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table, heading
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_each_endpoint_has_its_row() -> None:
    here = {
        f"{method} {pattern.pattern}"
        for pattern in urls.urlpatterns
        if str(pattern.pattern).startswith("api-key/")
        for method in pattern.callback._pikku_auth_methods  # type: ignore[attr-defined]
    }
    assert {codes_in(endpoint)[0] for endpoint, *_ in rows_below("Endpoints")} == here


def test_a_record_has_the_members_that_are_written() -> None:
    told = re.search(r"\*\*record\*\* has (.*?)\. `referenceId`", PAGE, re.DOTALL)
    assert told
    assert codes_in(told[1]) == RECORD


def test_each_act_has_the_scope_and_the_permission_that_are_written() -> None:
    table = PAGE.partition("| act | scope |")[2].partition("\n\n")[0]
    rows = [codes_in(line) for line in table.splitlines()[2:]]
    acts = [
        managers.MINT,
        managers.ROTATE,
        managers.ENABLE,
        managers.RENAME,
        managers.REVOKE,
        managers.READ,
    ]
    assert rows == [[*act] for act in acts]


def test_each_code_is_in_the_table() -> None:
    source = "".join(Path(module.__file__).read_text() for module in (api_keys, key_records))
    here = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source)) - OTHER_WORDS
    assert here | BUILT == {codes_in(code)[0] for _, code, _ in rows_below("Refusals")}


OTHER_WORDS = {"POST", "GET", "HTTP_IDEMPOTENCY_KEY", "SMALL", "LARGE"}
BUILT = {
    "REFILL_AMOUNT_AND_INTERVAL_REQUIRED",
    "REFILL_INTERVAL_AND_AMOUNT_REQUIRED",
    "EXPIRES_IN_IS_TOO_SMALL",
    "EXPIRES_IN_IS_TOO_LARGE",
    "MISSING_OR_NULL_ORIGIN",
    "INVALID_ORIGIN",
    "NETWORK_NOT_ALLOWED",
}


def test_the_limits_are_as_written() -> None:
    assert f"more than {KEYS_MANAGED.count} changes in 10 minutes" in PAGE
    assert KEYS_MANAGED.period.total_seconds() == 600
    assert f"{Delegation().most:,} by default" in PAGE


@pytest.mark.django_db
class TestTheExample:
    """An orchestrator and its sandboxes."""

    def test_the_command_makes_such_a_key(self, service_user: ServiceUser) -> None:
        command, _ = examples("keys-over-http.md", "bash")
        words = shlex.split(command.replace("\\\n", ""))
        name, *arguments = words[1:]
        parser = load_command_class("pikku_auth", name).create_parser("manage.py", name)
        assert isinstance(parser, CommandParser)
        options = parser.parse_args(arguments)
        assert options.scope == ["auth:mint", "auth:revoke", "sandbox:*"]

    @pytest.mark.django_db(transaction=True)
    def test_curl_makes_a_key_for_a_sandbox(
        self, live_server: Any, service_user: ServiceUser, remember_secret: Callable[[str], None]
    ) -> None:
        _, curl = examples("keys-over-http.md", "bash")
        parent = mint_key(
            create_service_user("orchestrator"),
            scopes=["auth:mint", "auth:revoke", "sandbox:*"],
            delegation=Delegation([service_user.name], ["sandbox"]),
        )
        names = {"URL": live_server.url, "PIKKU_API_KEY": parent.secret.reveal()}
        done = subprocess.run(
            ["bash", "-c", curl], env=os.environ | names, capture_output=True, check=True
        )
        told = json.loads(done.stdout)
        remember_secret(told["key"])
        assert told["parentId"] == str(parent.key.pk)
        assert (told["scopes"], told["metadata"]) == (["sandbox:read"], {"sandbox": 7})


@pytest.mark.django_db
class TestTheMembers:
    """Which may be sent, and which are told."""

    @pytest.fixture
    def orchestrator(self, service_user: ServiceUser) -> Caller:
        create_service_user("orchestrator")
        return self.orchestrate()

    def orchestrate(self) -> Caller:
        delegation = Delegation(["sandbox-runtime"])
        return machine(mint_key("orchestrator", scopes=EVERY_ACT, delegation=delegation))

    def test_nothing_is_needed_that_has_a_mark(self, orchestrator: Caller) -> None:
        rows = {codes_in(row[0])[0]: codes_in(row[1]) for row in rows_below("Endpoints")}
        for endpoint, members in rows.items():
            method, _, path = endpoint.partition(" ")
            orchestrator = self.orchestrate()
            told = minted(orchestrator)
            needed = {name: told["id"] for name in members if not name.endswith("?")}
            call = orchestrator.get if method == "GET" else orchestrator.post
            extra = {"enabled": True} if path.endswith("update") else {}
            answer = call(path.removeprefix("api-key/"), **needed, **extra)
            assert answer.status_code == 200, (endpoint, answer.content)

    def test_each_is_known(self, orchestrator: Caller) -> None:
        (create, *_) = rows_below("Endpoints")
        members = {name.rstrip("?") for name in codes_in(create[1])}
        assert members <= {*key_records._TYPES}

    def test_a_list_tells_what_is_written(self, orchestrator: Caller) -> None:
        answer = orchestrator.get("list", **CREATE, limit=5, offset=0).json()
        (row,) = (row for row in rows_below("Endpoints") if "api-key/list" in row[0])
        assert [*answer] == codes_in(row[2])
