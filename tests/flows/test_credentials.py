"""A credential of ours in ``Authorization`` is judged in whatever form it comes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.test import RequestFactory
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import KeyInAuthorization, Refused
from pikku_auth.flows import authenticate
from pikku_auth.flows.credentials import find_credential, has_token
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.logins import browser_of, logged_in

TOKEN = generate("pks").reveal()
KEY = generate("pka").reveal()


def encoded(text: str) -> str:
    return quote(text, safe="").replace("_", "%5F")


def in_basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


WRITTEN: list[Callable[[str], str]] = [
    str, str.upper, str.title, encoded, '"{}"'.format, "'{}'".format, "<{}>".format, "[{}]".format,
    "token={}".format, 'access_token="{}"'.format, "{},".format, "{}, {}".format("x", "{}").format,
    "{};".format, "Bearer {}".format, "{}==".format, "-{}".format, "{}\t".format, "key:{}".format,
]  # fmt: skip
SENT: list[Callable[[str], str]] = [
    "{}".format, "Bearer {}".format, "bearer\t{}".format, "Bearer{}".format, "Bearer:{}".format,
    "Bearer  {}".format, "Bearer%20{}".format, "Token {}".format, "ApiKey {}".format,
    "Basic {}".format, "Bearer x, Bearer {}".format, "Bearer {}, Bearer x".format,
    lambda text: in_basic(f"{text}:"), lambda text: in_basic(f"user:{text}"),
]  # fmt: skip


def request_with(header: str) -> Any:
    return RequestFactory().get("/", headers={"Authorization": header})


@given(
    secret=st.sampled_from([TOKEN, KEY, TOKEN[:-1], KEY + "x", "pks_", "pka_short"]),
    written=st.lists(st.sampled_from(WRITTEN), max_size=2),
    sent=st.sampled_from(SENT),
)
@example(TOKEN, [], in_basic)
def test_credential_of_ours_is_presented_in_every_form_and_good_in_one(
    secret: str, written: list[Callable[[str], str]], sent: Callable[[str], str]
) -> None:
    text = secret
    for write in written:
        text = write(text)
    presented = find_credential(request_with(sent(text)))
    assert presented is not None
    assert presented.kind == "token"
    is_lone_bearer = sent(text).strip().lower().split() == ["bearer", TOKEN.lower()]
    is_good = is_lone_bearer and TOKEN in sent(text) and "\t" not in sent(text).strip()
    assert (presented.digest is not None) is is_good


@given(st.from_regex(r"[0-9A-Za-z._~+/-]{1,400}={0,2}", fullmatch=True))
@example("eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.a-pks_b")
@example("dXNlcjpwYXNz")
def test_token_of_somebody_else_is_left_to_whose_it_is(token: str) -> None:
    assume(not token.lower().lstrip("._~+/-").startswith(("pks_", "pka_", "bearer")))
    assert not has_token(request_with(f"Bearer {token}"))
    assert not has_token(request_with(f"Token {token}"))


@pytest.mark.parametrize("header", ["", "Basic", "Basic é", "Basic =", in_basic("ada:secret")])
def test_basic_of_somebody_else_is_left_to_whose_it_is(header: str) -> None:
    assert find_credential(request_with(header)) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "form",
    ['Bearer "{}"', "Bearer token={}", "Bearer\t{}", "Token {}", "Bearer {},", "Bearer x {}"],
)
def test_live_login_in_a_form_that_is_not_good_is_refused_beside_a_session(
    make_user: Callable[..., Any], form: str
) -> None:
    issued = logged_in(make_user("ada"))
    header = form.format(issued.token.reveal())
    with pytest.raises(Refused):
        authenticate(request_with(header))
    browser = browser_of(make_user("eve"))
    response = browser.get("/test/whoami/", headers={"Authorization": header})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("header", "value", "is_misplaced"),
    [
        ("authorization", "Bearer {key}", True),
        ("authorization", "Token {KEY}", True),
        ("authorization", "Basic {basic}", True),
        ("authorization", "Bearer {token}", False),
        ("authorization", "Token {token}", False),
        ("x-api-key", "{token}", True),
        ("x-api-key", "Bearer {token}", True),
        ("x-api-key", "{key}", False),
        ("x-api-key", "", False),
    ],
)
@pytest.mark.parametrize("imported_keys", [None, IN_KEY_HEADER])
def test_credential_in_the_header_of_the_other_kind_is_misplaced(
    header: str, value: str, is_misplaced: bool, imported_keys: Any
) -> None:
    basic = b64encode(f"{KEY}:".encode()).decode()
    text = value.format(key=KEY, KEY=KEY.upper(), token=TOKEN, basic=basic)
    request = RequestFactory().get("/", headers={header: text})
    with pikku_settings(IMPORTED_KEYS=imported_keys):
        presented = find_credential(request)
    assert presented
    assert presented.is_misplaced is is_misplaced
    assert not (presented.is_misplaced and presented.digest)


@pytest.mark.django_db
def test_header_of_the_site_is_named_where_a_key_belongs() -> None:
    with (
        pikku_settings(KEY_HEADER="x-machine-key"),
        pytest.raises(KeyInAuthorization, match=r"in the header x-machine-key, not"),
    ):
        authenticate(request_with(f"Bearer {KEY}"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("header", "kind", "words"),
    [
        ("authorization", "key", "Login refused: key_in_authorization"),
        ("x-api-key", "token", "API key refused: login_in_key_header"),
    ],
)
def test_log_says_that_a_credential_is_misplaced_and_not_which(
    header: str, kind: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = {"key": KEY, "token": TOKEN}[kind]
    caplog.set_level("INFO", "pikku_auth")
    with pytest.raises(Refused) as refusal:
        authenticate(RequestFactory().get("/", headers={header: f"Bearer {secret}"}))
    assert words in caplog.text
    assert secret not in caplog.text + str(refusal.value)
