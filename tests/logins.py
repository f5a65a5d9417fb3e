"""Device logins in one line, for tests that are about what comes after."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from pikku_auth.flows import AuditContext
from pikku_auth.flows.audit import CODE
from pikku_auth.flows.device_flow import IssuedLogin, approve, claim, exchange, look_up, start_login
from pikku_auth.flows.device_flow.authorize import StartedLogin
from pikku_auth.models import DeviceCode

CLIENT = "pikku-cli"
BACKEND = "django.contrib.auth.backends.ModelBackend"
OWN_ORIGIN = "http://testserver"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


def row_of(started: StartedLogin) -> DeviceCode:
    """The row of a started login, as it is now."""
    return DeviceCode.objects.get(device_digest=started.device_code.digest)


def started_and_claimed(
    user: Any, *, scope: str = "", client_id: str = CLIENT, now: datetime | None = None
) -> StartedLogin:
    """A login that waits for what ``user`` decides."""
    started = start_login(client_id, scope, context=AuditContext(ip="192.0.2.1"), now=now)
    assert claim(look_up(started.user_code.reveal(), user=user, now=now), user, now=now)
    return started


def approved(user: Any, *, now: datetime | None = None, **options: Any) -> StartedLogin:
    """A login whose token waits to be fetched."""
    started = started_and_claimed(user, now=now, **options)
    approve(row_of(started), user, signed_in_at=now or timezone.now(), now=now)
    return started


def logged_in(
    user: Any, *, now: datetime | None = None, context: AuditContext = CODE, **options: Any
) -> IssuedLogin:
    """A login with its token."""
    started = approved(user, now=now, **options)
    client_id = options.get("client_id", CLIENT)
    return exchange(started.device_code.digest, client_id, context=context, now=now)


def bearer(issued: IssuedLogin) -> dict[str, str]:
    """The header that presents the token."""
    return {"Authorization": f"Bearer {issued.token.reveal()}"}


def browser_of(user: Any, **options: Any) -> Client:
    """A browser in which ``user`` is signed in to the Django site."""
    client = Client(**options)
    client.force_login(user, BACKEND)
    return client


def post(client: Client, path: str, body: Any = None, **headers: str) -> HttpResponse:
    """POST JSON as a page of the site's own would."""
    response: Any = client.post(
        f"/auth/{path}",
        {} if body is None else body,
        content_type="application/json",
        headers={"Origin": OWN_ORIGIN, **headers},
    )
    return response


def poll_body(started: StartedLogin, client_id: str = CLIENT) -> dict[str, str]:
    """What a device posts to ask for its token."""
    return {
        "grant_type": GRANT_TYPE,
        "device_code": started.device_code.reveal(),
        "client_id": client_id,
    }
