"""Introspector: an answer is active, inactive or an error, and never one for the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from pikku_auth.client import (
    BadAnswer,
    BadKey,
    BadUrl,
    ClientError,
    InsecureUrl,
    Introspection,
    Introspector,
    Unreachable,
)
from tests.client.conftest import KEY
from tests.client.servers import RESET, TOKEN, Reply, Seen, Server, error, unused_url
from tests.processes import wait_until

PATH = "/auth/introspect"
END = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
BORN = datetime(2026, 11, 23, tzinfo=UTC)
OF_A_KEY = {
    "active": True,
    "scope": "sandbox:* user:read",
    "sub": "7",
    "username": "sandbox-runtime",
    "client_id": "sandbox-runtime",
    "exp": int(END.timestamp()),
    "iat": int(BORN.timestamp()),
    "token_type": "ApiKey",
    "iss": "https://app.example.com",
    "key_id": "12",
    "service_user": "sandbox-runtime",
}
ACTIVE = Reply(body=OF_A_KEY)
INACTIVE = Reply(body={"active": False})


@pytest.fixture
def asked(elsewhere: Server) -> Server:
    """A server whose answers the test writes."""
    elsewhere.answer(PATH, ACTIVE)
    return elsewhere


@pytest.fixture
def make(asked: Server) -> Callable[..., Introspector]:
    def introspector(**options: Any) -> Introspector:
        return Introspector(asked.url, api_key=KEY, **options)

    return introspector


def form_of(seen: Seen) -> dict[str, list[str]]:
    return parse_qs(seen.body.decode(), strict_parsing=True)


def test_active_key_is_described(make: Any) -> None:
    assert make().ask(TOKEN) == Introspection(
        token_type="ApiKey",  # no secret
        scopes=("sandbox:*", "user:read"),
        subject="7",
        username="sandbox-runtime",
        client_id="sandbox-runtime",
        issued_at=BORN,
        expires_at=END,
        issuer="https://app.example.com",
        key_id="12",
        service_user="sandbox-runtime",
    )


def test_active_login_has_no_key(make: Any, asked: Server) -> None:
    optional = ("exp", "iss", "key_id", "service_user")
    body = {name: value for name, value in OF_A_KEY.items() if name not in optional}
    asked.answer(PATH, Reply(body=body | {"token_type": "Bearer"}))
    found = make().ask(TOKEN)
    assert (found.token_type, found.key_id, found.service_user) == ("Bearer", None, None)
    assert (found.expires_at, found.issuer, found.metadata, found.claims) == (None, None, {}, {})


def test_inactive_is_none(make: Any, asked: Server) -> None:
    asked.answer(PATH, INACTIVE)
    assert make().ask(TOKEN) is None


def test_scopes_are_judged_by_the_rules_of_the_server(make: Any, asked: Server) -> None:
    found = make().ask(TOKEN)
    assert found.has_scope("sandbox:write", "user:read")
    assert not found.has_scope("sandbox:write", "user:write")
    asked.answer(PATH, Reply(body=OF_A_KEY | {"scope": "* openid"}))
    assert make().ask(TOKEN).has_scope("user:write")
    asked.answer(PATH, Reply(body=OF_A_KEY | {"scope": ""}))
    assert not make().ask(TOKEN).has_scope("user:write")
    for wrong in ((), ("user",)):
        with pytest.raises(ValueError, match=r"scope"):
            found.has_scope(*wrong)


def test_request_is_a_form_with_the_key_of_the_resource_server(make: Any, asked: Server) -> None:
    make().ask(TOKEN)
    (seen,) = asked.to(PATH)
    assert seen.method == "POST"
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.headers["x-api-key"] == KEY
    assert "authorization" not in seen.headers
    assert form_of(seen) == {"token": [TOKEN]}


def test_what_is_asked_for_is_in_the_form(make: Any, asked: Server) -> None:
    introspector = make(metadata=True, claims=True, key_header="x-machine", auth_path="accounts/")
    extra = {"metadata": {"sandbox": 1}, "claims": {"organisation": 3}}
    asked.answer("/accounts/introspect", Reply(body=OF_A_KEY | extra))
    found = introspector.ask(TOKEN, "192.0.2.1", count=True)
    assert (found.metadata, found.claims) == (extra["metadata"], extra["claims"])
    (seen,) = asked.to("/accounts/introspect")
    assert seen.headers["x-machine"] == KEY
    assert form_of(seen) == {
        "token": [TOKEN],
        "metadata": ["true"],
        "claims": ["true"],
        "count": ["true"],
        "source_ip": ["192.0.2.1"],
    }


@pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "\xfc", "\udc80", "x" * 5000])
def test_what_can_be_no_token_is_inactive_and_not_asked(
    make: Any, asked: Server, text: str
) -> None:
    assert make().ask(text) is None
    assert asked.seen == []


BAD_ANSWERS: dict[str, Reply] = {
    "bad key": error("invalid_client", "Invalid API key.", 401),
    "no scope": error("insufficient_scope", "Missing scope: auth:introspect.", 403),
    "no such path": Reply(404, raw=b"<html>"),
    "too many": error("slow_down", "Too many requests.", 429),
    "outage": error("temporarily_unavailable", "Later.", 503),
    "a redirect": Reply(302, headers={"Location": "/auth/introspect/"}),
    "inactive, but not with 200": Reply(500, body={"active": False}),
    "no JSON": Reply(raw=b"active"),
    "an array": Reply(body=[True]),
    "nothing": Reply(body={}),
    "too long": Reply(raw=b" " * 1_000_001),
    **{
        f"active is {value!r}": Reply(body=OF_A_KEY | {"active": value})
        for value in (None, 1, 0, "true", "false", [])
    },
    **{
        f"without {name}": Reply(body={k: v for k, v in OF_A_KEY.items() if k != name})
        for name in ("active", "scope", "sub", "username", "client_id", "iat", "token_type")
    },
    **{f"{name} is 7.5": Reply(body=OF_A_KEY | {name: 7.5}) for name in ("scope", "sub", "key_id")},
    **{
        f"exp is {value!r}": Reply(body=OF_A_KEY | {"exp": value})
        for value in (None, True, "7", 10**30)
    },
    "metadata is a list": Reply(body=OF_A_KEY | {"metadata": []}),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_any_other_answer_is_an_error(make: Any, asked: Server, case: str) -> None:
    asked.answer(PATH, BAD_ANSWERS[case])
    with pytest.raises(BadAnswer) as failed:
        make(cache_seconds=60).ask(TOKEN)
    assert TOKEN not in str(failed.value)


def test_redirect_is_not_followed(make: Any, asked: Server) -> None:
    asked.answer(PATH, Reply(307, headers={"Location": "/elsewhere"}))
    asked.answer("/elsewhere", ACTIVE)
    with pytest.raises(BadAnswer):
        make().ask(TOKEN)
    assert [seen.path for seen in asked.seen] == [PATH]


def test_error_says_what_the_server_says(make: Any, asked: Server) -> None:
    asked.answer(PATH, BAD_ANSWERS["no scope"])
    with pytest.raises(BadAnswer, match=r"failed \(403\): Missing scope: auth:introspect"):
        make().ask(TOKEN)


def test_what_the_server_repeats_of_a_secret_is_not_said(make: Any, asked: Server) -> None:
    asked.answer(PATH, error("invalid_request", f"{TOKEN} and {KEY}"))
    with pytest.raises(BadAnswer) as failed:
        make().ask(TOKEN)
    assert str(failed.value).endswith("… and …")


def test_no_answer_is_an_error(make: Any, asked: Server) -> None:
    asked.answer(PATH, RESET)
    with pytest.raises(Unreachable) as failed:
        make().ask(TOKEN)
    assert TOKEN not in repr(failed.value)
    with pytest.raises(Unreachable, match="refused"):
        Introspector(unused_url(), api_key=KEY).ask(TOKEN)


@pytest.mark.parametrize(
    ("url", "key", "wrong"),
    [
        ("http://app.example.com", KEY, InsecureUrl),
        ("app.example.com", KEY, BadUrl),
        ("https://app.example.com", "", BadKey),
        ("https://app.example.com", "Bearer x", BadKey),
        ("https://app.example.com", "a\n", BadKey),
    ],
)
def test_bad_address_or_key_is_told_at_once(url: str, key: str, wrong: type[ClientError]) -> None:
    with pytest.raises(wrong):
        Introspector(url, api_key=key)


def test_introspector_does_not_show_its_key(make: Any, asked: Server) -> None:
    introspector = make()
    assert repr(introspector) == f"Introspector('{asked.url}{PATH}', cache_seconds=0)"
    assert KEY not in repr(vars(introspector))


def test_nothing_is_kept_unless_asked_to(make: Any, asked: Server) -> None:
    introspector = make()
    assert introspector.ask(TOKEN) is not None
    asked.answer(PATH, INACTIVE)
    assert introspector.ask(TOKEN) is None


@pytest.mark.parametrize("has_end", [True, False])
def test_active_answer_is_kept(make: Any, asked: Server, has_end: bool) -> None:
    if not has_end:
        asked.answer(PATH, Reply(body={k: v for k, v in OF_A_KEY.items() if k != "exp"}))
    introspector = make(cache_seconds=60)
    first = introspector.ask(TOKEN)
    asked.answer(PATH, INACTIVE)
    assert introspector.ask(TOKEN) == first
    assert len(asked.seen) == 1
    assert TOKEN not in repr(vars(introspector))


def test_answer_is_kept_for_one_address(make: Any, asked: Server) -> None:
    introspector = make(cache_seconds=60)
    introspector.ask(TOKEN, "192.0.2.1")
    asked.answer(PATH, INACTIVE)
    assert introspector.ask(TOKEN, "192.0.2.1") is not None
    assert introspector.ask(TOKEN, "192.0.2.2") is None
    assert introspector.ask(TOKEN) is None


def test_answer_is_not_kept_for_longer(make: Any, asked: Server) -> None:
    introspector = make(cache_seconds=0.01)
    introspector.ask(TOKEN)
    asked.answer(PATH, INACTIVE)
    wait_until(lambda: introspector.ask(TOKEN) is None, "it was kept for ever")


def test_answer_is_not_kept_past_its_end(make: Any, asked: Server) -> None:
    over = int((datetime.now(UTC) - timedelta(seconds=1)).timestamp())
    asked.answer(PATH, Reply(body=OF_A_KEY | {"exp": over}))
    introspector = make(cache_seconds=60)
    introspector.ask(TOKEN)
    asked.answer(PATH, INACTIVE)
    assert introspector.ask(TOKEN) is None


def test_inactive_answer_is_not_kept(make: Any, asked: Server) -> None:
    introspector = make(cache_seconds=60)
    asked.answer(PATH, INACTIVE)
    assert introspector.ask(TOKEN) is None
    asked.answer(PATH, ACTIVE)
    assert introspector.ask(TOKEN) is not None


def test_call_that_counts_is_neither_found_nor_kept(make: Any, asked: Server) -> None:
    introspector = make(cache_seconds=60)
    introspector.ask(TOKEN, count=True)
    introspector.ask(TOKEN)
    introspector.ask(TOKEN, count=True)
    assert len(asked.seen) == 3


def test_kept_answer_can_not_be_changed_by_who_got_it(make: Any, asked: Server) -> None:
    asked.answer(PATH, Reply(body=OF_A_KEY | {"claims": {"ids": [1]}}))
    introspector = make(cache_seconds=60, claims=True)
    for _ in range(3):
        found = introspector.ask(TOKEN)
        assert found.claims == {"ids": [1]}
        found.claims["ids"].append(2)
    assert len(asked.seen) == 1


def test_oldest_answer_makes_room(
    make: Any, asked: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pikku_auth.client.introspect._MOST_KEPT", 2)
    introspector = make(cache_seconds=60)
    for token in ("a", "b", "c", "b", "c", "a"):
        introspector.ask(token)
    assert [form_of(seen)["token"] for seen in asked.seen] == [["a"], ["b"], ["c"], ["a"]]


def test_many_threads_may_ask(make: Any) -> None:
    introspector, found = make(cache_seconds=60), []

    def ask(number: int) -> None:
        found.extend(introspector.ask(f"{TOKEN}{number % 3}") for _ in range(20))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert {answer.subject for answer in found} == {"7"}


def test_cookies_are_not_kept(make: Any, asked: Server) -> None:
    asked.answer(PATH, Reply(body=OF_A_KEY, headers={"Set-Cookie": "sessionid=1; Path=/"}))
    introspector = make()
    for _ in range(2):
        introspector.ask(TOKEN)
    assert ["cookie" in seen.headers for seen in asked.seen] == [False, False]
