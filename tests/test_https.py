"""``REQUIRE_HTTPS``: what came over plain HTTP is refused, and named so that it can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import Client, RequestFactory
from pytest_django import Settings

from pikku_auth import signals
from pikku_auth.exceptions import HTTPSRequired
from pikku_auth.flows import IssuedKey, authenticate
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in, post

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
DEVICE_CODE = ("device/code", {"client_id": "ci"})


@pytest.fixture(autouse=True)
def _https_is_required(settings: Settings) -> Iterator[None]:
    settings.ALLOWED_HOSTS = ["*"]
    with pikku_settings(REQUIRE_HTTPS=True):
        yield


def request_of(headers: dict[str, str], *, secure: bool = False, **meta: str) -> Any:
    # META as servers set it; Django's factory leaves HTTP_HOST out.
    given = {"HTTP_HOST": "api.example.com", "REMOTE_ADDR": "203.0.113.7", **meta}
    return RequestFactory().get("/", secure=secure, headers=headers, **given)  # type: ignore[arg-type]


def test_key_over_plain_http_is_refused_and_named(
    mint: Mint, caplog: pytest.LogCaptureFixture
) -> None:
    issued, told = mint(name="ci"), []

    def receive(*, key: Any, reason: str, **_: Any) -> None:
        told.append((key, reason))

    signals.key_refused.connect(receive)
    with pytest.raises(HTTPSRequired):
        authenticate(request_of(key_headers(issued)))
    signals.key_refused.disconnect(receive)
    assert told == [(issued.key, "plain_http")]
    assert f"plain_http ({issued.key}, from 203.0.113.7)" in caplog.text


def test_login_over_plain_http_is_refused_and_named(
    make_user: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    issued = logged_in(make_user("ada"))
    with pytest.raises(HTTPSRequired):
        authenticate(request_of(bearer(issued)))
    assert f"plain_http ({issued.login}, from 203.0.113.7)" in caplog.text


@pytest.mark.parametrize("text", ["", "pka_bad"])
def test_malformed_key_over_plain_http_is_refused_in_the_same_words(text: str) -> None:
    with pytest.raises(HTTPSRequired):
        authenticate(request_of({"x-api-key": text}))


def test_key_over_https_is_good(mint: Mint) -> None:
    assert authenticate(request_of(key_headers(mint()), secure=True)) is not None


@pytest.mark.parametrize(
    ("host", "peer", "is_good"),
    [
        ("localhost:8000", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]:8000", "::1", True),
        ("api.example.com", "127.0.0.1", False),  # a proxy on the same machine
        ("localhost", "203.0.113.7", False),
        ("localhost", "", False),
    ],
)
def test_plain_http_is_good_within_one_machine_only(
    mint: Mint, host: str, peer: str, is_good: bool
) -> None:
    request = request_of(key_headers(mint()), HTTP_HOST=host, REMOTE_ADDR=peer)
    if is_good:
        assert authenticate(request) is not None
    else:
        with pytest.raises(HTTPSRequired):
            authenticate(request)


def test_plain_http_is_good_where_the_setting_is_off(mint: Mint) -> None:
    with pikku_settings(REQUIRE_HTTPS=False):
        assert authenticate(request_of(key_headers(mint()))) is not None


def test_rest_framework_answers_403_and_says_what_to_do(mint: Mint) -> None:
    response = Client().get("/test/whoami/", headers=key_headers(mint()))
    assert response.status_code == 403
    assert response.json()["code"] == "https_required"


def test_device_login_begins_over_https_only() -> None:
    refused = post(Client(), *DEVICE_CODE)
    assert refused.status_code == 403
    assert b'"error": "invalid_request"' in refused.content
    body = {"data": '{"client_id": "ci"}', "content_type": "application/json"}
    assert Client().post("/auth/device/code", secure=True, **body).status_code == 200  # type: ignore[arg-type]


def test_deploying_without_https_is_warned_of(settings: Settings) -> None:
    def told() -> list[str]:
        found = run_checks(include_deployment_checks=True)
        return [str(message.id) for message in found if message.id == "pikku_auth.W018"]

    assert told() == []
    with pikku_settings(REQUIRE_HTTPS=False):
        assert told() == ["pikku_auth.W018"]
        settings.SECURE_SSL_REDIRECT = True
        assert told() == []
