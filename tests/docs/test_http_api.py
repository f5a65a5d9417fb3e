"""The tables of docs/http-api.md, against the endpoints themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from pikku_auth import urls
from pikku_auth.conf import conf
from pikku_auth.core import secrets, text
from pikku_auth.core.durations import format_duration
from pikku_auth.core.limits import Rate, parse_rate
from pikku_auth.flows import IssuedKey, introspection, revocation, throttling, tickets
from pikku_auth.flows import sweeping as kept
from pikku_auth.flows.device_flow import authorize
from pikku_auth.models import DeviceCode
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.docs.pages import text_of
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
from tests.openapi import must_be_described

pytestmark = pytest.mark.django_db

Row = list[str]
FORM = "application/x-www-form-urlencoded"
GETS_OR_POSTS = ("GET", "POST")
WITH_MEMBERS = ["device/code", "device/token", "device/approve", "device/deny", "revoke-session"]
PAGES = {"activate", "logins"}
SESSION = (
    "id token userId clientId scopes ipAddress userAgent createdAt updatedAt expiresAt maxExpiresAt"
)
USER = "id name username email emailVerified image createdAt updatedAt"


def rows_below(heading: str) -> Iterator[Row]:
    """The cells of the table that begins with that head."""
    lines = iter(text_of("http-api.md").splitlines())
    for line in lines:
        if line.startswith(f"| {heading}"):
            break
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def codes_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def endpoints() -> dict[tuple[str, str], tuple[list[str], str]]:
    """By endpoint and caller: the members of the request, and what is answered."""
    return {
        (endpoint, caller): (codes_in(request), answer)
        for (cell, callers, request, answer) in rows_below("endpoint | caller")
        for endpoint in codes_in(cell)
        for caller in codes_in(callers)
    }


def refusals_of(heading: str) -> set[tuple[str, int, str]]:
    return {
        (endpoint, int(status), "".join(codes_in(code)))
        for cell, status, code, _ in rows_below(heading)
        for endpoint in codes_in(cell) or [cell]
    }


OWN_REFUSALS = refusals_of("endpoint | status")


def of_every_endpoint() -> set[tuple[str, int, str]]:
    page = text_of("http-api.md")
    later = page[page.index("Every endpoint but") :]
    found = re.findall(r"^\| ([\w ]+) \| (\d+) \| (?:`(\w+)`)? ?\|", later, re.MULTILINE)
    return {(cell, int(status), code) for cell, status, code in found}


class World:
    """Somebody of each kind, to ask as."""

    def __init__(self, ada: Any, mint: Callable[..., IssuedKey]) -> None:
        self.ada, self.mint = ada, mint
        self.issued = mint(scopes=["sandbox:read"])
        self.anybody = Client(raise_request_exception=False)

    @property
    def session(self) -> Client:
        return browser_of(self.ada)

    @property
    def login(self) -> Client:
        return Client(headers=bearer(logged_in(self.ada)))

    @property
    def key(self) -> Client:
        return Client(headers=key_headers(self.issued))

    def introspect(self, token: str = "x", *, client: Client | None = None, **bounds: Any) -> Any:
        caller = client or with_key_of(self, scopes=["auth:introspect"], **bounds)
        return form(caller, "introspect", token)

    def decide(self, how: str, code: str, client: Client | None = None) -> Any:
        return post(client or self.session, f"device/{how}", {"userCode": code})

    def decided(self, **columns: Any) -> str:
        """The user code of a claimed login whose row has these values."""
        started = started_and_claimed(self.ada)
        DeviceCode.objects.update(**columns)
        return started.user_code.reveal()

    def poll(self, started: Any, **others: Any) -> Any:
        return post(self.anybody, "device/token", {**poll_body(started), **others})


@pytest.fixture
def world(make_user: Callable[..., Any], mint: Callable[..., IssuedKey]) -> World:
    return World(make_user("ada", is_superuser=True), mint)


def test_each_path_and_method_has_its_row() -> None:
    here = {
        f"{method} {pattern.pattern}"
        for pattern in urls.urlpatterns
        if not str(pattern.pattern).startswith("api-key/")  # which have a page of their own
        for method in getattr(pattern.callback, "_pikku_auth_methods", GETS_OR_POSTS)
    }
    written = {endpoint for endpoint, _ in endpoints()}
    assert written | {"POST get-session"} == here  # which is among the refusals


GOOD: dict[tuple[str, str], Callable[[World], Any]] = {
    ("POST device/code", "anybody"): lambda w: post(w.anybody, "device/code", FULL),
    ("POST device/token", "anybody"): lambda w: w.poll(approved(w.ada)),
    ("GET device", "anybody"): lambda w: look(w, w.anybody),
    ("GET device", "session"): lambda w: look(w, w.session),
    ("POST device/approve", "session"): lambda w: w.decide("approve", w.decided()),
    ("POST device/deny", "session"): lambda w: w.decide("deny", w.decided()),
    ("GET get-session", "login"): lambda w: w.login.get("/auth/get-session"),
    ("GET get-session", "session"): lambda w: w.session.get("/auth/get-session"),
    ("POST sign-out", "anybody"): lambda w: post(w.anybody, "sign-out"),
    ("POST revoke-session", "login"): lambda w: post(w.login, "revoke-session", {"token": "x"}),
    ("POST revoke-session", "session"): lambda w: post(w.session, "revoke-session", {"id": "x"}),
    ("POST revoke-sessions", "login"): lambda w: post(w.login, "revoke-sessions"),
    ("POST revoke-sessions", "session"): lambda w: post(w.session, "revoke-sessions"),
    ("POST revoke-other-sessions", "login"): lambda w: post(w.login, "revoke-other-sessions"),
    ("POST revoke-other-sessions", "session"): lambda w: post(w.session, "revoke-other-sessions"),
    ("GET ok", "anybody"): lambda w: w.anybody.get("/auth/ok"),
    ("GET whoami", "key"): lambda w: w.key.get("/auth/whoami"),
    ("GET whoami", "login"): lambda w: w.login.get("/auth/whoami"),
    ("POST introspect", "key"): lambda w: w.introspect(w.issued.secret.reveal()),
    ("POST ws-ticket", "key"): lambda w: post(w.key, "ws-ticket"),
    ("POST ws-ticket", "login"): lambda w: post(w.login, "ws-ticket"),
    ("POST ws-ticket", "session"): lambda w: post(w.session, "ws-ticket"),
}
FULL = {"client_id": CLIENT, "scope": "sandbox:read", "user_id": "7"}


def form(client: Client, path: str, token: str, **options: Any) -> Any:
    return client.post(f"/auth/{path}", urlencode({"token": token}), FORM, **options)


def look(world: World, client: Client) -> Any:
    return client.get("/auth/device", {"user_code": code_of_new(world)})


def code_of_new(world: World) -> str:
    code: str = post(world.anybody, "device/code", FULL).json()["user_code"]
    return code


def test_each_row_with_members_of_an_answer_is_asked_for() -> None:
    assert {key for key, (_, answer) in endpoints().items() if codes_in(answer)} == {
        *GOOD,
        ("GET get-session", "anybody"),
    }


@pytest.mark.parametrize("row", GOOD, ids=" by ".join)
def test_a_good_request_is_answered_with_the_members_of_its_row(
    world: World, row: tuple[str, str]
) -> None:
    answer = GOOD[row](world)
    must_be_described(row[0], answer)
    assert answer.status_code == 200, answer.content
    assert list(answer.json()) == codes_in(endpoints()[row][1])
    assert answer["Cache-Control"] == "no-store"


def test_what_is_a_list_or_nothing_is_as_written(world: World) -> None:
    nobody = world.anybody.get("/auth/get-session")
    must_be_described("GET get-session", nobody)
    assert nobody.json() is None
    login = world.login
    listing = login.get("/auth/list-sessions")
    must_be_described("GET list-sessions", listing)
    (listed,) = listing.json()
    told = login.get("/auth/get-session").json()
    for session in (listed, told["session"]):
        assert {*session} == {*SESSION.split()}
    assert {*told["user"]} == {*USER.split()}
    assert world.session.get("/auth/list-sessions").status_code == 200
    words = text_of("http-api.md")
    for members in (SESSION, USER):
        *most, last = (f"`{member}`" for member in members.split())
        assert " ".join(f"{', '.join(most)} and {last}".split()) in " ".join(words.split())
    key = world.key.get("/auth/whoami").json()["key"]
    assert [*key] == ["start", "name", "rate", "remaining"]


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("device/code", FULL),
        ("device/token", {"grant_type": GRANT_TYPE, "device_code": "x", "client_id": CLIENT}),
        ("device/approve", {"userCode": "x"}),
        ("device/deny", {"userCode": "x"}),
    ],
)
def test_only_the_members_without_a_mark_must_be_there(
    world: World, path: str, full: dict[str, str]
) -> None:
    ((members, _),) = [found for (end, _), found in endpoints().items() if end == f"POST {path}"]
    assert [member.rstrip("?") for member in members] == [*full]
    words = "expected string, received undefined|Invalid input: expected"
    for member in members:
        name = member.rstrip("?")
        body = {other: value for other, value in full.items() if other != name}
        is_missed = re.search(words, post(world.session, path, body).content.decode())
        assert bool(is_missed) is not member.endswith("?")


def over(times: int, do: Callable[[], Any]) -> Any:
    """The answer after so many."""
    for _ in range(times):
        do()
    return do()


def expire() -> None:
    DeviceCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def polled(world: World, started: Any, times: int = 1) -> Any:
    return over(times - 1, lambda: world.poll(started))


def after_expiry(world: World) -> Any:
    started = started_and_claimed(world.ada)
    expire()
    return world.poll(started)


def after_denial(world: World) -> Any:
    started = started_and_claimed(world.ada)
    world.decide("deny", started.user_code.reveal())
    return world.poll(started)


def look_after_expiry(world: World) -> Any:
    code = code_of_new(world)
    expire()
    return world.anybody.get("/auth/device", {"user_code": code})


def guess(client: Client) -> Any:
    return client.get("/auth/device", {"user_code": "BBBB-BBBB"})


def not_fresh(world: World) -> Any:
    browser, code = world.session, world.decided()
    with pikku_settings(SIGN_IN_MAX_AGE=timedelta(microseconds=1)):
        return world.decide("approve", code, browser)


def of_another(world: World, how: str, make_user: Callable[..., Any]) -> Any:
    return world.decide(how, world.decided(), browser_of(make_user("grace")))


def not_allowed(world: World) -> Any:
    with pikku_settings(DEVICE_CLIENT_IDS=["another"]):
        return post(world.anybody, "device/code", FULL)


def with_key_of(world: World, **bounds: Any) -> Client:
    return Client(headers=key_headers(world.mint(**bounds)))


def at_its_limit(world: World, endpoint: str) -> Any:
    client = with_key_of(world, rate=parse_rate("1/d"))
    return over(1, lambda: ask(client, endpoint))


def too_many_inactive(world: World) -> Any:
    client = with_key_of(world, scopes=["auth:introspect"])
    return over(
        introspection.INACTIVE_ONES.count,
        lambda: world.introspect(secrets.generate("pka").reveal(), client=client),
    )


def ask(client: Client, endpoint: str) -> Any:
    method, _, path = endpoint.partition(" ")
    if method == "POST":
        return post(client, path, {"userCode": "x", "token": "x"})
    return client.get(f"/auth/{path}", {"user_code": "BBBB-BBBB"} if path == "device" else None)


Case = Callable[[World], Any]
ASK, REVOKE = "POST introspect", "POST revoke"
CODE, TOKEN, DEVICE = "POST device/code", "POST device/token", "GET device"
CASES: dict[tuple[str, int, str], Case] = {
    (CODE, 400, "invalid_request"): lambda w: post(w.anybody, "device/code", {"client_id": "ü"}),
    (CODE, 400, "invalid_client"): not_allowed,
    (CODE, 400, "invalid_scope"): lambda w: post(
        w.anybody, "device/code", {**FULL, "scope": "x" * 2001}
    ),
    (CODE, 429, "slow_down"): lambda w: over(
        throttling.CODES_ASKED_FOR.count,
        lambda: sent(w.anybody, "POST", "device/code", data=FULL, REMOTE_ADDR="192.0.2.7"),
    ),
    (TOKEN, 400, "unsupported_grant_type"): lambda w: w.poll(approved(w.ada), grant_type="x"),
    (TOKEN, 400, "invalid_request"): lambda w: w.poll(approved(w.ada), device_code=7),
    (TOKEN, 400, "VALIDATION_ERROR"): lambda w: post(w.anybody, "device/token", [1]),
    (TOKEN, 400, "authorization_pending"): lambda w: polled(w, started_and_claimed(w.ada)),
    (TOKEN, 400, "slow_down"): lambda w: polled(w, started_and_claimed(w.ada), 2),
    (TOKEN, 400, "access_denied"): after_denial,
    (TOKEN, 400, "expired_token"): after_expiry,
    (TOKEN, 400, "invalid_grant"): lambda w: polled(w, approved(w.ada), 2),
    (DEVICE, 400, "VALIDATION_ERROR"): lambda w: w.anybody.get("/auth/device"),
    (DEVICE, 400, "invalid_request"): lambda w: guess(w.anybody),
    (DEVICE, 400, "expired_token"): look_after_expiry,
    (DEVICE, 429, "slow_down"): lambda w: over(
        throttling.WRONG_CODES.count, lambda: guess(w.session)
    ),
    ("POST device/approve", 401, "insufficient_user_authentication"): not_fresh,
    ("POST get-session", 405, "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED"): lambda w: post(
        w.anybody, "get-session"
    ),
    ("POST revoke-session", 400, "VALIDATION_ERROR"): lambda w: post(w.login, "revoke-session", {}),
    (ASK, 400, "invalid_request"): lambda w: w.introspect(""),
    (ASK, 401, "invalid_client"): lambda w: w.introspect(client=w.anybody),
    (ASK, 403, "insufficient_scope"): lambda w: w.introspect(client=w.key),
    (ASK, 403, "network_not_allowed"): lambda w: w.introspect(networks=["192.0.2.0/24"]),
    (ASK, 429, "slow_down"): too_many_inactive,
    (REVOKE, 400, "invalid_request"): lambda w: post(w.anybody, "revoke", {"token": "x"}),
    (REVOKE, 429, "slow_down"): lambda w: over(
        revocation.WRONG_TOKENS.count,
        lambda: form(
            w.anybody, "revoke", secrets.generate("pka").reveal(), REMOTE_ADDR="192.0.2.7"
        ),
    ),
    ("POST ws-ticket", 429, "too_many_attempts"): lambda w: over(
        tickets.TICKETS.count, lambda: post(w.session, "ws-ticket")
    ),
}
for _how in ("approve", "deny"):
    _end = f"POST device/{_how}"
    CASES |= {
        (_end, 400, "VALIDATION_ERROR"): lambda w, h=_how: post(w.session, f"device/{h}", {}),
        (_end, 400, "invalid_request"): lambda w, h=_how: w.decide(h, "BBBB-BBBB"),
        (_end, 400, "expired_token"): lambda w, h=_how: w.decide(
            h, w.decided(expires_at=timezone.now())
        ),
        (_end, 401, "unauthorized"): lambda w, h=_how: w.decide(h, w.decided(), w.login),
        (_end, 403, "access_denied"): lambda w, h=_how: w.decide(
            h, w.decided(user=w.issued.key.service_user.user)
        ),
        (_end, 429, "slow_down"): lambda w, h=_how: over(
            throttling.WRONG_CODES.count, lambda: w.decide(h, "BBBB-BBBB")
        ),
    }
for _end in ("GET whoami", "POST ws-ticket"):
    CASES |= {
        (_end, 401, "not_authenticated"): lambda w, e=_end: ask(w.anybody, e),
        (_end, 401, "invalid_key"): lambda w, e=_end: ask(Client(headers={"x-api-key": "x"}), e),
        (_end, 401, "invalid_token"): lambda w, e=_end: ask(
            Client(headers={"authorization": f"Bearer {secrets.generate('pks').reveal()}"}), e
        ),
        (_end, 403, "network_not_allowed"): lambda w, e=_end: ask(
            with_key_of(w, networks=["192.0.2.0/24"]), e
        ),
        (_end, 429, "limit_exceeded"): lambda w, e=_end: at_its_limit(w, e),
    }
CASES |= {
    row: lambda w, e=row[0]: ask(w.key, e) for row in OWN_REFUSALS if row[2] == "UNAUTHORIZED"
}


def test_each_refusal_of_the_table_is_provoked() -> None:
    assert {*CASES} == OWN_REFUSALS


def name_of(row: tuple[str, int, str]) -> str:
    return "-".join(map(str, row))


@pytest.mark.parametrize("row", sorted(CASES), ids=name_of)
def test_a_refusal_has_the_status_and_the_code_of_its_row(
    world: World, row: tuple[str, int, str]
) -> None:
    endpoint, status, code = row
    answer = CASES[row](world)
    must_be_described(endpoint, answer)
    assert (answer.status_code, code_in(answer)) == (status, code), answer.content
    assert ("Retry-After" in answer) == (status == 429)


def code_in(answer: Any) -> str:
    told = answer.json()
    return str(told.get("error") or told["code"])


def every(method: str | None = None) -> list[tuple[str, str]]:
    """Each method and path but those of the pages."""
    found = sorted({tuple(endpoint.split(" ")) for endpoint, _ in endpoints()})
    return [
        (m, path) for m, path in found if path not in {"activate", "logins"} and method in (None, m)
    ]


def sent(client: Client, method: str, path: str, **options: Any) -> Any:
    send = getattr(client, method.lower())
    answer = send(f"/auth/{path}", **{"content_type": "application/json", **options})
    must_be_described(f"{method} {path}", answer)
    return answer


@contextmanager
def outage() -> Iterator[None]:
    """No statement gets through."""

    def refuse(*_: object) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(refuse):
        yield


def test_what_every_endpoint_may_answer_is_what_it_answers(world: World) -> None:
    rows = of_every_endpoint()
    assert {cell for cell, _, _ in rows} == {"all", "POST", "with members"}
    found = set()
    for method, path in every():
        answer = world.anybody.delete(f"/auth/{path}")
        assert (answer.status_code, answer.content) == (404, b"")
        found.add(("all", 404, ""))
        with pikku_settings(REQUIRE_HTTPS=True):
            found.add(("all", *told_by(sent(world.anybody, method, path, REMOTE_ADDR="192.0.2.7"))))
    browser, quiet = world.session, {"headers": {"Origin": "null"}}
    for method, path in every("POST"):
        found.add(("POST", *told_by(sent(browser, method, path, **quiet))))
        evil = {"headers": {"Origin": "https://evil.example"}}
        found.add(("POST", *told_by(sent(browser, method, path, **evil))))
    own = {"headers": {"Origin": "http://testserver"}}
    for path in WITH_MEMBERS:
        found.add(("with members", *told_by(sent(browser, "POST", path, data="{", **own))))
        text_type = {"content_type": "text/plain", "data": "x", **own}
        found.add(("with members", *told_by(sent(browser, "POST", path, **text_type))))
    assert found == rows - {("all", 503, "temporarily_unavailable")}


def told_by(answer: Any) -> tuple[int, str]:
    return answer.status_code, code_in(answer)


def test_an_outage_is_told_as_one(world: World) -> None:
    with outage():
        answer = post(world.anybody, "device/code", FULL)
    assert told_by(answer) == (503, "temporarily_unavailable")
    assert "Retry-After" in answer


def test_an_unknown_path_is_the_hosts_own_404(client: Client) -> None:
    answer = client.get("/auth/nonsense")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def counted(rate: Rate) -> str:
    period = rate.period
    is_minutes = period >= timedelta(minutes=1)
    unit = "minutes" if is_minutes else "seconds"
    number = period // timedelta(minutes=1) if is_minutes else period // timedelta(seconds=1)
    return f"{rate.count} in {number} {unit}"


def test_each_limit_is_what_the_code_has() -> None:
    lifetime, interval, _ = conf.device_code
    assert [format_duration(lifetime), format_duration(interval)] == ["10m", "5s"]
    assert [limit for _, limit in rows_below("what | limit")] == [
        f"{text.MAX_CLIENT_ID} characters",
        f"{authorize._MAX_SCOPE:,} characters",
        f"{secrets.MAX_LENGTH} characters",
        "10 minutes",
        "5 seconds",
        counted(throttling.CODES_ASKED_FOR),
        counted(throttling.WRONG_CODES),
        counted(throttling.CLAIMS),
        counted(tickets.TICKETS),
        f"{tickets.LIFETIME // timedelta(seconds=1)} seconds",
        counted(introspection.INACTIVE_ONES),
        counted(revocation.WRONG_TOKENS),
        f"{kept.MOST_UNCLAIMED_CODES:,}",
        f"{kept.MOST_TICKETS:,}",
        f"{kept.MOST_TICKETS_OF_A_USER:,}",
    ]


def test_a_used_code_is_told_as_what_was_decided(world: World) -> None:
    started = approved(world.ada)
    world.poll(started)
    assert row_of(started).status == DeviceCode.Status.CONSUMED
    answer = world.session.get("/auth/device", {"user_code": started.user_code.reveal()})
    assert answer.json()["status"] == "approved"
