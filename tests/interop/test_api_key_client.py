"""better-auth's ``apiKeyClient()``, unchanged, against our server; and what its own says to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.interop.conftest import (
    BetterAuthHuman,
    DjangoHuman,
    Server,
    all_in_javascript,
    in_javascript,
)
from tests.over_the_wire import RECORD

SERVICE = "sandbox-runtime"
BETTER_AUTHS = RECORD[:21]
SCOPES = "auth:mint auth:read auth:revoke"
CLIENT = "better-auth-js"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

Options = dict[str, Any]


@dataclass
class Calls:
    """Calls of the plugin's methods, to be made later; the ``organization`` has the keys."""

    organization: str = SERVICE

    def ask(self, method: str, argument: Any = None) -> Any:
        return f"apiKey.{method}", argument

    def get(self, method: str, **query: Any) -> Any:
        return self.ask(method, {"query": query})

    def create(self, **members: Any) -> Any:
        return self.ask("create", {"organizationId": self.organization, **members})


@dataclass
class Client(Calls):
    """The client of somebody, which makes the calls at once."""

    server: Server = field(kw_only=True)
    options: Options = field(kw_only=True)

    def ask(self, method: str, argument: Any = None) -> Any:
        return in_javascript(self.server, self.options, *super().ask(method, argument))


@pytest.fixture(scope="module")
def machine(manage: Callable[..., str], our_server: Server) -> Options:
    scopes = [word for scope in SCOPES.split() for word in ("--scope", scope)]
    key = manage("mint_key", "--create", "--service", SERVICE, *scopes).strip()
    return {"headers": {"x-api-key": key}}


@pytest.fixture(scope="module")
def ada(our_server: Server) -> DjangoHuman:
    return DjangoHuman(our_server.url)


@pytest.fixture(scope="module")
def browser(our_server: Server, ada: DjangoHuman, machine: Options) -> Options:
    return {"headers": {"cookie": ada.cookies, "origin": our_server.url}}


@pytest.fixture(scope="module")
def login(our_server: Server, ada: DjangoHuman, machine: Options) -> Options:
    asked = {"client_id": CLIENT, "scope": SCOPES}
    code = in_javascript(our_server, {}, "device.code", asked)["data"]
    ada.approve(code["user_code"])
    poll = {"grant_type": GRANT_TYPE, "device_code": code["device_code"], "client_id": CLIENT}
    token = in_javascript(our_server, {}, "device.token", poll)["data"]
    assert token["scope"] == SCOPES
    return {"auth": {"type": "Bearer", "token": token["access_token"]}}


@pytest.fixture(params=["machine", "login", "browser"])
def ours(request: pytest.FixtureRequest, our_server: Server) -> Client:
    return Client(server=our_server, options=request.getfixturevalue(request.param))


def test_a_key_is_made_read_changed_and_revoked(ours: Client) -> None:
    made = ours.create(name="box 7", expiresIn=3600)
    assert made["error"] is None
    key = made["data"]
    assert (key["name"], key["referenceId"]) == ("box 7", SERVICE)
    headers = {"headers": {"x-api-key": key["key"]}}
    assert in_javascript(ours.server, headers, "$fetch", "/whoami")["data"]["via"] == "api_key"

    told = {name: value for name, value in key.items() if name != "key"}
    read = ours.get("get", id=key["id"])["data"]
    assert read | {"lastRequest": None, "requestCount": 0} == told

    renamed = ours.ask("update", {"keyId": key["id"], "name": "box 8"})["data"]
    assert renamed["name"] == "box 8"
    disabled = ours.ask("update", {"keyId": key["id"], "enabled": False})["data"]
    assert (disabled["enabled"], disabled["state"]) == (False, "disabled")

    assert ours.ask("delete", {"keyId": key["id"]})["data"] == {"success": True}
    gone = ours.get("get", id=key["id"])["error"]
    assert (gone["status"], gone["code"]) == (404, "KEY_NOT_FOUND")


def test_keys_come_in_pages(ours: Client) -> None:
    made = [ours.create(name=name)["data"]["id"] for name in ("a", "b")]
    query = {"organizationId": SERVICE, "sortBy": "createdAt", "sortDirection": "desc"}
    pages = [ours.get("list", **query, limit=1, offset=offset)["data"] for offset in (0, 1)]
    assert [key["id"] for page in pages for key in page["apiKeys"]] == made[::-1]
    assert [(page["limit"], page["offset"]) for page in pages] == [(1, 0), (1, 1)]
    assert pages[0]["total"] == pages[1]["total"] >= 2


# --- Beside better-auth's own server -----------------------------------------------------

Question = Callable[[Calls, str], Any]
"""The call that asks a side, about a key that it has."""

QUESTIONS: dict[str, Question] = {
    "list": lambda c, k: c.get("list", organizationId=c.organization),
    "list of a page": lambda c, k: c.get("list", organizationId=c.organization, limit=1, offset=0),
    "list of a negative limit": lambda c, k: c.get("list", limit=-1),
    "list of no number": lambda c, k: c.get("list", limit="x"),
    "list in no order": lambda c, k: c.get("list", sortDirection="up"),
    "list by a strange column": lambda c, k: c.get("list", sortBy="digest"),
    "list of more than a page": lambda c, k: c.get("list", limit=101),
    "list of a stranger's": lambda c, k: c.get("list", organizationId="nobodys"),
    "get": lambda c, k: c.get("get", id=k),
    "get without id": lambda c, k: c.get("get"),
    "get of a stranger's": lambda c, k: c.get("get", id="nobodys"),
    "create for nobody in particular": lambda c, k: c.ask("create", {"name": "x"}),
    "create for a stranger": lambda c, k: c.ask("create", {"organizationId": "nobodys"}),
    "create for a user": lambda c, k: c.create(userId="7"),
    "create with a name": lambda c, k: c.create(name="box"),
    "create with a name of 33 characters": lambda c, k: c.create(name="x" * 33),
    "create with a name of 201 characters": lambda c, k: c.create(name="x" * 201),
    "create with a name that is none": lambda c, k: c.create(name=7),
    "create with metadata": lambda c, k: c.create(metadata={"a": 1}),
    "create with metadata that is text": lambda c, k: c.create(metadata="x"),
    "create with metadata that is a list": lambda c, k: c.create(metadata=[1]),
    "create with an end": lambda c, k: c.create(expiresIn=3600),
    "create with an end at once": lambda c, k: c.create(expiresIn=0),
    "create with an end in 30 years": lambda c, k: c.create(expiresIn=10**9),
    "create with an end that is none": lambda c, k: c.create(expiresIn="x"),
    "create with a prefix": lambda c, k: c.create(prefix="ab_"),
    "create with permissions": lambda c, k: c.create(permissions={"sandbox": ["read"]}),
    "create with a quota": lambda c, k: c.create(remaining=5),
    "create with a refill that has no interval": lambda c, k: c.create(refillAmount=5),
    "update of a name": lambda c, k: c.ask("update", {"keyId": k, "name": "other"}),
    "update of nothing": lambda c, k: c.ask("update", {"keyId": k}),
    "update of no key": lambda c, k: c.ask("update", {"name": "x"}),
    "update of a stranger's": lambda c, k: c.ask("update", {"keyId": "nobodys", "name": "x"}),
    "update of metadata": lambda c, k: c.ask("update", {"keyId": k, "metadata": {"b": 2}}),
    "update of a quota": lambda c, k: c.ask("update", {"keyId": k, "remaining": 5}),
    "update of an end to never": lambda c, k: c.ask("update", {"keyId": k, "expiresIn": None}),
    "update that disables": lambda c, k: c.ask("update", {"keyId": k, "enabled": False}),
    "update that enables": lambda c, k: c.ask("update", {"keyId": k, "enabled": True}),
    "delete of no key": lambda c, k: c.ask("delete", {}),
    "delete of a stranger's": lambda c, k: c.ask("delete", {"keyId": "nobodys"}),
    "delete": lambda c, k: c.ask("delete", {"keyId": k}),
    "delete again": lambda c, k: c.ask("delete", {"keyId": k}),
    "get of what is gone": lambda c, k: c.get("get", id=k),
}
BY_NOBODY: dict[str, Question] = {
    "create by nobody": lambda c, k: c.create(),
    "get by nobody": lambda c, k: c.get("get", id="x"),
    "list by nobody": lambda c, k: c.get("list"),
    "update by nobody": lambda c, k: c.ask("update", {"keyId": "x", "name": "x"}),
    "delete by nobody": lambda c, k: c.ask("delete", {"keyId": "x"}),
}

DONE = (200, "")
SERVER_ONLY = (400, "SERVER_ONLY_PROPERTY")

DEVIATIONS: dict[str, tuple[tuple[int, str], tuple[int, str], str]] = {
    "list by a strange column": (DONE, (400, "VALIDATION_ERROR"), "nobody sorts by digests"),
    "list of more than a page": (DONE, (400, "VALIDATION_ERROR"), "a page is a page"),
    "create with a name of 33 characters": (
        (400, "INVALID_NAME_LENGTH"), DONE, "as long as in the admin"
    ),
    "create with metadata that is a list": (
        DONE, (400, "INVALID_METADATA_TYPE"), "MAP_KEY asks for members"
    ),
    "create with an end": (
        (400, "EXPIRES_IN_IS_TOO_SMALL"), DONE, "a sandbox's key lives an hour, and theirs a day"
    ),
    "create with an end in 30 years": (
        (400, "EXPIRES_IN_IS_TOO_LARGE"), DONE, "MAX_KEY_LIFETIME is the host's, and theirs a year"
    ),
    "create with an end at once": (
        (400, "VALIDATION_ERROR"), (400, "EXPIRES_IN_IS_TOO_SMALL"), "one code for all ends"
    ),
    "create with a prefix": (DONE, SERVER_ONLY, "all begin as PREFIXES says, for scanners"),
    "create with permissions": (SERVER_ONLY, DONE, "callers are trusted to make keys"),
    "create with a quota": (SERVER_ONLY, DONE, "callers are trusted to make keys"),
    "create with a refill that has no interval": (
        SERVER_ONLY, (400, "REFILL_AMOUNT_AND_INTERVAL_REQUIRED"), "a refill may be sent, whole"
    ),
    "update of metadata": (DONE, SERVER_ONLY, "MAP_KEY trusts it"),
    "update of an end to never": (
        DONE, (400, "EXPIRES_IN_IS_TOO_LARGE"), "nobody gets more than they were given"
    ),
}  # fmt: skip
"""By question: what better-auth answers, what we do, and why."""

TYPES = {
    "prefix": ("null", "string", "all begin as PREFIXES says, for scanners"),
    "permissions": ("null", "object", "a key without scopes has none, which is an empty object"),
    "rateLimitMax": ("number", "null", "no limit unless one is given"),
    "rateLimitTimeWindow": ("number", "null", "no limit unless one is given"),
}
"""By member of a record: its type there, its type here, and why."""

Told = dict[str, Any]


def asked_of(client: Client) -> Told:
    """What a side answers to each question, with the record that it has made under ``""``."""
    made = client.create(name="box", expiresIn=90_000, metadata={"a": 1})["data"]
    calls = Calls(client.organization)
    told = {"": made}
    for questions, options in ((QUESTIONS, client.options), (BY_NOBODY, {})):
        asked = [ask(calls, made["id"]) for ask in questions.values()]
        told |= zip(questions, all_in_javascript(client.server, options, asked), strict=True)
    return told


@pytest.fixture(scope="module")
def our_answers(our_server: Server, browser: Options) -> Told:
    return asked_of(Client(server=our_server, options=browser))


@pytest.fixture(scope="module")
def better_auths_server(better_auth: Callable[..., Any]) -> Iterator[Server]:
    with better_auth() as server:
        yield server


@pytest.fixture(scope="module")
def better_auths_answers(better_auths_server: Server) -> Told:
    human = BetterAuthHuman(better_auths_server.url)
    options = {"headers": {"cookie": human.cookies, "origin": better_auths_server.url}}
    organization = human.found(SERVICE)
    return asked_of(Client(organization, server=better_auths_server, options=options))


def outcome(answer: Any) -> tuple[int, str]:
    error = answer["error"]
    return (error["status"], error.get("code", "")) if error else DONE


def type_in_json(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", str: "string", dict: "object", list: "array"}
    return "null" if value is None else kinds[type(value)]


newest = pytest.mark.parametrize("better_auth", ["better-auth"], indirect=True)


@newest
class TestBesideBetterAuth:
    """The plugin is of the newest line."""

    @pytest.mark.parametrize("question", [*QUESTIONS, *BY_NOBODY])
    def test_the_outcome_is_theirs_or_has_a_reason(
        self, better_auths_answers: Told, our_answers: Told, question: str
    ) -> None:
        theirs, ours = (outcome(told[question]) for told in (better_auths_answers, our_answers))
        if question in DEVIATIONS:
            assert (theirs, ours) == DEVIATIONS[question][:2]
        else:
            assert ours == theirs

    def test_a_record_begins_with_their_members_in_their_order(
        self, better_auths_answers: Told, our_answers: Told
    ) -> None:
        for question in ("get", "update of a name"):
            assert [*better_auths_answers[question]["data"]] == BETTER_AUTHS
            assert [*our_answers[question]["data"]] == RECORD
        made = [*better_auths_answers[""]]
        assert made == [*BETTER_AUTHS[:5], "key", *BETTER_AUTHS[5:]] == [*our_answers[""]][:-7]
        assert [*our_answers[""]][-7:] == RECORD[21:]

    def test_a_member_has_their_type_or_a_reason(
        self, better_auths_answers: Told, our_answers: Told
    ) -> None:
        found = {
            name: (type_in_json(theirs), type_in_json(our_answers[""][name]))
            for name, theirs in better_auths_answers[""].items()
        }
        different = {name: types for name, types in found.items() if types[0] != types[1]}
        assert different == {name: types[:2] for name, types in TYPES.items()}

    def test_a_page_has_their_members(self, better_auths_answers: Told, our_answers: Told) -> None:
        for question in ("list", "list of a page", "delete"):
            theirs, ours = (told[question]["data"] for told in (better_auths_answers, our_answers))
            assert [*ours] == [*theirs]

    def test_an_error_has_their_members(
        self, better_auths_answers: Told, our_answers: Told
    ) -> None:
        for question in ("get of a stranger's", "create by nobody", "update of nothing"):
            theirs, ours = (told[question]["error"] for told in (better_auths_answers, our_answers))
            assert {*theirs} <= {*ours}
