"""Each row of docs/refusals.md is produced by a real request, with the line that it quotes."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from pikku_auth.core.limits import Rate
from pikku_auth.core.secrets import generate
from pikku_auth.decorators import browser_session_required, require_principal
from pikku_auth.flows import (
    deactivate_service_user,
    disable_key,
    revoke_key,
    revoke_login,
)
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import APIKey, KeyState, LoginSession
from pikku_auth.rest_framework import HasScope
from pikku_auth.testing import issue_test_login, key_headers, login_headers, mint_test_key
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run, text_of
from tests.families import child_of, parent_of
from tests.logins import browser_of, logged_in

pytestmark = pytest.mark.django_db

ADDRESS = "198.51.100.7"
ROW = re.compile(r"^\| (\d{3}) \| (\S+) \| `([A-Z]+) (.+?)` \| .+ \| .+ \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """What a row of a table says."""

    status: int
    code: str
    level: str
    line: str

    @property
    def name(self) -> str:
        """Its code, and the reason that the log has for it, if it is one of ours."""
        reason = re.search(r"refused: (\w+)", self.line)
        return f"{self.code} {reason[1]}" if reason else self.code


ROWS = [
    Row(int(status), code.strip("`"), level, line)
    for status, code, level, line in ROW.findall(text_of("refusals.md"))
]


@api_view()
@permission_classes([HasScope("sandbox:read")])
def sandboxes(request: Request) -> Response:
    return Response({})


@api_view()
@permission_classes([IsAuthenticated])
def profile(request: Request) -> Response:
    return Response({})


@require_principal
def reports(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@browser_session_required
def password(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


URLS = (
    path("sandboxes/", sandboxes),
    path("profile/", profile),
    path("reports/", reports),
    path("password/", password),
)


@pytest.fixture(autouse=True)
def _the_urls_of_the_page(settings: Any) -> None:
    settings.ROOT_URLCONF = URLS


def get(url: str = "/sandboxes/", headers: dict[str, str] | None = None) -> Any:
    client = Client(headers=headers or {}, REMOTE_ADDR=ADDRESS, raise_request_exception=False)
    return client.get(url)


def key(**options: Any) -> Any:
    return mint_test_key(["sandbox:read"], name="ci", **options)


def login(make_user: Callable[..., Any]) -> IssuedLogin:
    return logged_in(make_user("ada"))


def malformed(_: Any) -> Any:
    return get(headers={"x-api-key": "pka_cut-off"})


def unknown(_: Any) -> Any:
    return get(headers={"x-api-key": generate("pka").reveal()})


def expired(_: Any) -> Any:
    issued = key()
    APIKey.objects.update(expires_at=timezone.now())
    return get(headers=key_headers(issued))


def revoked(_: Any) -> Any:
    issued = key()
    revoke_key(issued.key)
    return get(headers=key_headers(issued))


def disabled(_: Any) -> Any:
    issued = key()
    disable_key(issued.key)
    return get(headers=key_headers(issued))


def suspended(_: Any) -> Any:
    parent = parent_of(key().key.service_user)
    issued = child_of(parent, name="ci")
    disable_key(parent.key)
    return get(headers=key_headers(issued))


def owner_inactive(_: Any) -> Any:
    issued = key()
    deactivate_service_user(issued.key.service_user)
    return get(headers=key_headers(issued))


def owner_privileged(_: Any) -> Any:
    issued = key()
    owner = issued.key.service_user.user
    type(owner)._default_manager.filter(pk=owner.pk).update(is_staff=True)
    return get(headers=key_headers(issued))


def reject(credential: object, request: HttpRequest) -> None:
    """A host's mapping that lets nobody in."""


def key_rejected(_: Any) -> Any:
    with pikku_settings(MAP_KEY=f"{__name__}.reject"):
        return get(headers=key_headers(key()))


def login_in_key_header(make_user: Any) -> Any:
    return get(headers={"x-api-key": login(make_user).token.reveal()})


def key_in_authorization(_: Any) -> Any:
    return get(headers={"Authorization": f"Bearer {key().secret.reveal()}"})


def network_not_allowed(_: Any) -> Any:
    return get(headers=key_headers(key(networks=["203.0.113.0/24"])))


def plain_http(_: Any) -> Any:
    with pikku_settings(REQUIRE_HTTPS=True):
        return get(headers=key_headers(key()))


def rate_limited(_: Any) -> Any:
    headers = key_headers(key(rate=Rate(1, timedelta(days=1))))
    get(headers=headers)
    return get(headers=headers)


def quota_exhausted(_: Any) -> Any:
    headers = key_headers(key(quota=1))
    get(headers=headers)
    return get(headers=headers)


def login_unknown(_: Any) -> Any:
    get(headers={"Authorization": "Bearer pks_cut-off"})
    return get(headers={"Authorization": f"Bearer {generate('pks').reveal()}"})


def login_expired(make_user: Any) -> Any:
    issued = login(make_user)
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return get(headers=login_headers(issued))


def login_revoked(make_user: Any) -> Any:
    issued = login(make_user)
    revoke_login(issued.login)
    return get(headers=login_headers(issued))


def login_owner_inactive(make_user: Any) -> Any:
    return get(headers=login_headers(after_update(login(make_user), is_active=False)))


def password_changed(make_user: Any) -> Any:
    issued = after_update(login(make_user), password=make_password("another"))
    return get(headers=login_headers(issued))


def after_update(issued: IssuedLogin, **columns: Any) -> IssuedLogin:
    """The login, after the row of its human was changed."""
    human = issued.login.user
    type(human)._default_manager.filter(pk=human.pk).update(**columns)
    return issued


def login_rejected(make_user: Any) -> Any:
    with pikku_settings(MAP_LOGIN=f"{__name__}.reject"):
        return get(headers=login_headers(login(make_user)))


def scopes_of_nobody(user: object) -> None:
    """A host's rule by which nobody may log in from a terminal."""


def login_not_allowed(make_user: Any) -> Any:
    headers = login_headers(login(make_user))
    with pikku_settings(LOGIN_SCOPES=f"{__name__}.scopes_of_nobody"):
        return get(headers=headers)


def insufficient_scope(_: Any) -> Any:
    return get(headers=key_headers(mint_test_key(["sandbox:write"])))


def unscoped_view(_: Any) -> Any:
    return get("/profile/", key_headers(key()))


def credential_required(make_user: Any) -> Any:
    return browser_of(make_user("ada")).get("/sandboxes/")


def for_browsers_only(_: Any) -> Any:
    return get("/password/", key_headers(key()))


def nothing_sent(_: Any) -> Any:
    return get("/reports/")


def nothing_sent_to_rest_framework(_: Any) -> Any:
    return get("/sandboxes/")


def down(*_: Any) -> Any:
    raise OperationalError("down")


def database_is_down(_: Any) -> Any:
    headers = key_headers(key())
    with connection.execute_wrapper(down):
        return get(headers=headers)


PRODUCED: dict[str, Callable[[Any], Any]] = {
    "invalid_key malformed": malformed,
    "invalid_key unknown": unknown,
    "invalid_key expired": expired,
    "invalid_key revoked": revoked,
    "invalid_key disabled": disabled,
    "invalid_key suspended": suspended,
    "invalid_key owner_inactive": owner_inactive,
    "invalid_key owner_privileged": owner_privileged,
    "invalid_key rejected_by_mapping": key_rejected,
    "invalid_key login_in_key_header": login_in_key_header,
    "invalid_token key_in_authorization": key_in_authorization,
    "network_not_allowed network_not_allowed": network_not_allowed,
    "https_required plain_http": plain_http,
    "limit_exceeded rate_limited": rate_limited,
    "limit_exceeded quota_exhausted": quota_exhausted,
    "invalid_token unknown": login_unknown,
    "invalid_token expired": login_expired,
    "invalid_token revoked": login_revoked,
    "invalid_token owner_inactive": login_owner_inactive,
    "invalid_token password_changed": password_changed,
    "invalid_token rejected_by_mapping": login_rejected,
    "invalid_token login_not_allowed": login_not_allowed,
    "insufficient_scope": insufficient_scope,
    "unscoped_view": unscoped_view,
    "credential_required": credential_required,
    "browser_session_required": for_browsers_only,
    "not_authenticated": nothing_sent,
    "none": nothing_sent_to_rest_framework,
    "unavailable": database_is_down,
}


def told(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    """The lines of the log, with the beginning of a key as the page has it."""
    return {
        (record.levelname, re.sub(r"(pk[as]_)\w+…", r"\1Ab12Cd34…", record.getMessage()))
        for record in caplog.records
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_row_is_produced_with_the_line_that_it_quotes(
    row: Row, make_user: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        answer = PRODUCED[row.name](make_user)
    assert answer.status_code == row.status
    assert answer.json().get("code", "none") == row.code
    assert (row.level, row.line) in told(caplog)


def test_each_way_to_be_refused_is_in_one_row() -> None:
    assert sorted(row.name for row in ROWS) == sorted(PRODUCED)


def test_each_row_of_a_refusal_is_read() -> None:
    assert len(re.findall(r"^\| \d", text_of("refusals.md"), re.MULTILINE)) == len(ROWS)


def test_each_state_of_a_dead_key_has_a_row() -> None:
    reasons = {row.name.partition(" ")[2] for row in ROWS}
    alive_or_counted = {KeyState.ACTIVE, KeyState.EXHAUSTED}
    assert set(KeyState) - alive_or_counted <= reasons


@pytest.fixture
def _loggers_are_restored() -> Iterator[None]:
    logger = logging.getLogger("pikku_auth")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers, logger.level = handlers, level


@pytest.mark.usefixtures("_loggers_are_restored")
def test_the_snippet_shows_every_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = examples("refusals.md")
    logging.config.dictConfig(run(snippet, {})["LOGGING"])
    unknown(None)
    line = r"\S+ \S+ INFO pikku_auth API key refused: unknown \(no such key, from 198.51.100.7\)"
    assert re.search(line, capsys.readouterr().err)


def test_a_login_and_a_key_are_let_in_where_nothing_is_wrong(make_user: Any) -> None:
    """So that it is the cause of a row that refuses."""
    assert get(headers=key_headers(key())).status_code == 200
    human = login_headers(issue_test_login(make_user("ada"), ["sandbox:read"]))
    assert get(headers=human).status_code == 200
