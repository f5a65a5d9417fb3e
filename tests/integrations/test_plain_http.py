"""``REQUIRE_HTTPS`` in every integration: what came over plain HTTP is refused, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from pikku_auth.core.websocket_protocol import offer
from pikku_auth.flows import IssuedKey, issue_ticket, verify_key
from pikku_auth.models import SocketTicket
from tests.conftest import pikku_settings
from tests.integrations.decision import NOBODY, Decision, refused
from tests.integrations.ways_in import (
    INTEGRATIONS,
    SCOPED_INTEGRATIONS,
    UNSCOPED_INTEGRATIONS,
    Headers,
    Integration,
    over_websocket,
)
from tests.logins import logged_in

# Channels closes connections that are in a transaction, as the one of a TestCase is.
pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
EXPOSED = refused(
    403,
    "Send this over https. The credential was readable on its way here: replace it.",
    "https_required",
)
OVER_HTTPS = ("X-Forwarded-Proto", "https")


@pytest.fixture(autouse=True)
def _https_is_required(settings: Settings) -> Iterator[None]:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    with pikku_settings(REQUIRE_HTTPS=True):
        yield


def everywhere(
    headers: Headers, expected: Decision, integrations: dict[str, Integration] = INTEGRATIONS
) -> None:
    decisions = {name: ask(headers) for name, ask in integrations.items()}
    assert decisions == dict.fromkeys(integrations, expected)


@pytest.fixture
def presented(mint: Mint, make_user: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    """Credentials of every kind, good and bad."""
    key = mint(scopes=["sandbox:read"]).secret.reveal()
    token = logged_in(make_user("ada")).token.reveal()
    return {
        "good key": ("x-api-key", key),
        "malformed key": ("x-api-key", "nonsense"),
        "empty key": ("x-api-key", ""),
        "good login": ("Authorization", f"Bearer {token}"),
        "malformed login": ("Authorization", "Bearer pks_nonsense"),
        "key in the wrong header": ("Authorization", f"Bearer {key}"),
        "login in the wrong header": ("x-api-key", token),
    }


@pytest.mark.parametrize(
    "case",
    [
        "good key",
        "malformed key",
        "empty key",
        "good login",
        "malformed login",
        "key in the wrong header",
        "login in the wrong header",
    ],
)
def test_credential_over_plain_http_is_refused_by_every_integration(
    case: str, presented: dict[str, tuple[str, str]]
) -> None:
    everywhere([presented[case]], EXPOSED)


@pytest.mark.parametrize(
    "integrations", [SCOPED_INTEGRATIONS, UNSCOPED_INTEGRATIONS], ids=["scoped", "unscoped"]
)
def test_plain_http_is_refused_before_the_scope_is_judged(
    integrations: dict[str, Integration], presented: dict[str, tuple[str, str]]
) -> None:
    everywhere([presented["good key"]], EXPOSED, integrations)


def test_every_integration_names_the_key_that_has_to_be_replaced(
    presented: dict[str, tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    for ask in INTEGRATIONS.values():
        caplog.clear()
        ask([presented["good key"]])
        assert caplog.text.count("plain_http") == 1
        assert presented["good key"][1] not in caplog.text


@pytest.mark.parametrize(("case", "via"), [("good key", "api_key"), ("good login", "login")])
def test_credential_over_https_is_good_in_every_integration(
    case: str, via: str, presented: dict[str, tuple[str, str]]
) -> None:
    headers = [presented[case], OVER_HTTPS]
    assert {name: ask(headers).via for name, ask in INTEGRATIONS.items()} == dict.fromkeys(
        INTEGRATIONS, via
    )


def test_request_without_a_credential_is_nobody_over_plain_http_too() -> None:
    everywhere([], NOBODY)


def ticket_of(mint: Mint) -> tuple[str, str]:
    ticket = issue_ticket(verify_key(mint().secret.reveal())).reveal()
    return ("Sec-WebSocket-Protocol", ", ".join(offer(ticket)))


def test_ticket_over_plain_websocket_is_refused_and_stays_unused(
    mint: Mint, caplog: pytest.LogCaptureFixture
) -> None:
    offered = ticket_of(mint)
    assert over_websocket()([offered]) == EXPOSED
    assert "plain_http" in caplog.text
    assert SocketTicket.objects.count() == 1


def test_ticket_over_https_opens_the_websocket(mint: Mint) -> None:
    assert over_websocket()([ticket_of(mint), OVER_HTTPS]).status == 200
