"""``RATE_LIMIT_HEADERS``: what is left of a key's limits, alike in every integration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from freezegun import freeze_time

from pikku_auth.core.limits import Rate, parse_rate
from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.docs.pages import examples
from tests.integrations.ways_in import host
from tests.logins import bearer, logged_in

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]

# the path, whether our middleware is there, and whether it is asked through ASGI
WAYS = {
    "REST framework": ("/drf/", False, False),
    "REST framework behind the middleware": ("/drf/", True, False),
    "the middleware": ("/known/", True, False),
    "the async middleware": ("/aknown/", True, True),
    "the decorator": ("/wanted/", False, False),
    "the async decorator": ("/awanted/", False, True),
    "ninja": ("/ninja/sync/", False, False),
    "async ninja": ("/ninja/async/", False, True),
}
WANTING = {
    "REST framework": ("/drf/scoped/", False, False),
    "the decorator": ("/wanted/scoped/", False, False),
    "the async decorator": ("/awanted/scoped/", False, True),
    "ninja": ("/ninja/scoped/sync/", False, False),
    "async ninja": ("/ninja/scoped/async/", False, True),
}
POLICY = '"rate";q=2;w=60, "quota";q=1000;w=86400'


@pytest.fixture(autouse=True)
def _switched_on() -> Iterator[None]:
    with pikku_settings(RATE_LIMIT_HEADERS=True), freeze_time("2026-11-23 12:00:18"):
        yield


def ask(way: tuple[str, bool, bool], headers: dict[str, str]) -> Any:
    path, middleware, is_async = way
    with host(middleware=middleware):
        if is_async:
            return async_to_sync(AsyncClient().get)(path, headers=headers)
        return Client().get(path, headers=headers)


def limited(mint: Mint) -> IssuedKey:
    return mint(rate=parse_rate("2/m"), quota=1000, refill=Rate(1000, timedelta(days=1)))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_answer_says_what_is_left(mint: Mint, way: tuple[str, bool, bool]) -> None:
    headers = key_headers(limited(mint))
    answers = [ask(way, headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer["RateLimit-Policy"] for answer in answers] == [POLICY] * 3
    assert [answer["RateLimit"] for answer in answers] == [
        '"rate";r=1;t=42, "quota";r=999;t=86400',
        '"rate";r=0;t=42, "quota";r=998;t=86400',
        '"rate";r=0;t=42, "quota";r=998;t=86400',
    ]
    assert answers[-1]["Retry-After"] == "42"


@pytest.mark.parametrize("way", WANTING.values(), ids=WANTING)
def test_so_does_one_of_a_view_that_refuses(mint: Mint, way: tuple[str, bool, bool]) -> None:
    answer = ask(way, key_headers(limited(mint)))
    assert answer.status_code == 403
    assert answer["RateLimit"].startswith('"rate";r=1;t=42')


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_nothing_is_said_unless_the_setting_is_on(mint: Mint, way: tuple[str, bool, bool]) -> None:
    with pikku_settings(RATE_LIMIT_HEADERS=False):
        headers = key_headers(limited(mint))
        answers = [ask(way, headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert not [answer for answer in answers if said_by(answer)]
    assert "Retry-After" in answers[-1]


def said_by(answer: Any) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith("ratelimit")]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_nothing_is_said_to_others(
    mint: Mint, make_user: Callable[..., Any], way: tuple[str, bool, bool]
) -> None:
    login = logged_in(make_user("ada", is_superuser=True))
    callers = [key_headers(mint()), bearer(login), {"x-api-key": "nonsense"}, {}]
    assert [said_by(ask(way, headers)) for headers in callers] == [[]] * 4


def test_our_endpoints_say_it_too(mint: Mint) -> None:
    answer: Any = Client().get("/auth/whoami", headers=key_headers(limited(mint)))
    assert answer["RateLimit"].startswith('"rate";r=1;t=42')


def whoami(issued: IssuedKey) -> Any:
    return Client().get("/auth/whoami", headers=key_headers(issued))


def test_a_quota_that_nothing_refills_is_only_what_is_left(mint: Mint) -> None:
    issued = mint(quota=2)
    first, last, refused = (whoami(issued) for _ in range(3))
    assert (first["RateLimit"], last["RateLimit"]) == ('"quota";r=1', '"quota";r=0')
    assert "RateLimit-Policy" not in first
    assert (refused.status_code, refused["RateLimit"]) == (429, '"quota";r=0')
    assert "Retry-After" not in refused


def test_a_quota_that_is_due_is_told_as_refilled(mint: Mint) -> None:
    issued = mint(quota=1, refill=Rate(3, timedelta(hours=1)))
    assert whoami(issued)["RateLimit"] == '"quota";r=0;t=3600'
    assert whoami(issued)["RateLimit"] == '"quota";r=0;t=3600'
    with freeze_time("2026-11-23 13:30:18"):
        assert whoami(issued)["RateLimit"] == '"quota";r=2;t=1800'


def test_a_rate_that_was_not_counted_is_whole_when_the_quota_is_used_up(mint: Mint) -> None:
    issued = mint(rate=parse_rate("5/m"), quota=1, refill=Rate(1, timedelta(days=1)))
    assert whoami(issued)["RateLimit"] == '"rate";r=4;t=42, "quota";r=0;t=86400'
    with freeze_time("2026-11-23 12:01:00"):
        refused = whoami(issued)
    assert refused["RateLimit"] == '"rate";r=5;t=60, "quota";r=0;t=86358'
    assert refused["Retry-After"] == "86358"


def test_a_window_of_a_broken_number_of_seconds_is_rounded_up(mint: Mint) -> None:
    issued = mint(rate=Rate(1, timedelta(seconds=1, milliseconds=500)))
    assert whoami(issued)["RateLimit-Policy"] == '"rate";q=1;w=2'


def test_the_documentation_shows_what_is_sent(mint: Mint) -> None:
    issued = mint(rate=parse_rate("100/m"), quota=412, refill=Rate(1000, timedelta(days=1)))
    with freeze_time("2026-11-24 10:00:05"):
        answer = whoami(issued)
    (shown,) = examples("limits.md", "text")
    policy, left = shown.splitlines()
    assert policy == f"RateLimit-Policy: {answer['RateLimit-Policy']}"
    assert left.split(";t=")[0] == f"RateLimit: {answer['RateLimit']}".split(";t=")[0]
    assert '"quota";r=411;t=7213' in answer["RateLimit"]
