"""What docs/security.md shows, run: the names that a host's error tracker has to hide."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import sentry_sdk
from django.db import OperationalError, connection
from django.test import Client

from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.docs.pages import names_of
from tests.logins import approved, bearer, logged_in, poll_body

pytestmark = pytest.mark.django_db


def down(*_: Any) -> Any:
    raise OperationalError("down")


def events_of(happen: Callable[[], Any], **options: Any) -> str:
    """What Sentry's SDK would send."""
    events: list[Any] = []

    def keep(event: Any, hint: Any) -> None:
        events.append(event)

    client = sentry_sdk.Client("https://public@example.com/1", before_send=keep, **options)
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        happen()
    assert events
    return json.dumps(events, default=repr)


def test_names_in_the_docs_hide_what_is_sent_to_us(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    key, login = mint(), logged_in(make_user("ada"))
    body = poll_body(approved(make_user("eve")))
    body |= {"user_code": "BCDF-GHJK", "userCode": "BCDF-GHJK", "secret": key.secret.reveal()}
    secrets = [key.secret.reveal(), login.token.reveal(), body["device_code"], "BCDF-GHJK"]
    headers = {**key_headers(key), **bearer(login)}

    def fail_before_our_view() -> None:
        sentry_sdk.get_isolation_scope().add_event_processor(with_request)
        sentry_sdk.add_breadcrumb(message="a call", data={**body, **headers})
        sentry_sdk.capture_message("broken")

    def with_request(event: Any, hint: Any) -> Any:
        return {**event, "request": {"headers": headers, "data": body}}

    scrubber = names_of("security.md")["scrubber"]
    sent = events_of(
        fail_before_our_view,
        event_scrubber=scrubber,
        default_integrations=False,
    )
    assert [secret for secret in secrets if secret in sent] == []


@pytest.mark.parametrize("as_json", [True, False])
def test_our_view_leaves_no_device_code_in_the_request(
    make_user: Callable[..., Any], as_json: bool
) -> None:
    """Whoever reports the outage, such as Sentry, reads the body from the request."""
    body = poll_body(approved(make_user("ada")))
    sent = json.dumps(body) if as_json else urlencode(body)
    kind = "application/json" if as_json else "application/x-www-form-urlencoded"
    with connection.execute_wrapper(down):
        response: Any = Client().post("/auth/device/token", sent, content_type=kind)
    request = response.wsgi_request
    assert response.status_code == 503
    assert request.body == b""
    assert dict(request.POST) == {}
