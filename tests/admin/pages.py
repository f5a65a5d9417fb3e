"""What staff press, as requests."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.messages import get_messages
from django.core.signals import got_request_exception
from django.test import Client
from django.utils import timezone
from django.views.debug import ExceptionReporter

from pikku_auth.admin.form_ids import new_form_id
from pikku_auth.flows import IssuedKey
from pikku_auth.models import APIKey, ServiceUser

KEYS = "/admin/pikku_auth/apikey/"
SERVICE_USERS = "/admin/pikku_auth/serviceuser/"
LOGINS = "/admin/pikku_auth/loginsession/"
EVENTS = "/admin/pikku_auth/auditevent/"
MINT = f"{KEYS}add/"
USERS = "/admin/auth/user/"

SECRET = re.compile(r"pka_[0-9A-Za-z]{49}")


def html_of(response: Any) -> str:
    text: str = response.content.decode()
    return text


def messages_of(response: Any) -> list[str]:
    """What the next page would say."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def act(client: Client, name: str, *rows: Any, base: str = KEYS, **fields: Any) -> Any:
    """Press the button on the page that asks."""
    ids = ",".join(str(row.pk) for row in rows)
    return client.post(f"{base}act/{name}/", {"ids": ids, "confirm": "yes", **fields})


def rotate(client: Client, *keys: Any, overlap: str = "24h") -> Any:
    return act(client, "rotate", *keys, overlap=overlap)


def form_id(client: Client) -> str:
    """What tells this form from another. Who is shown no form may send one by hand."""
    page = client.get(MINT)
    found = re.search(r'name="form_id" value="([^"]+)"', html_of(page))
    return found[1] if found else new_form_id(page.wsgi_request)


def mint(client: Client, owner: Any, /, **fields: Any) -> Any:
    """Fill in the form and send it."""
    given = {"service_user": owner.pk, "expires_in": "90d", **fields}
    if "form_id" not in given:
        given["form_id"] = form_id(client)
    return client.post(MINT, given)


def call(client: Client, secret: str) -> int:
    """The status of a request to the example's API with the key."""
    return client.get("/api/sandboxes/", headers={"x-api-key": secret}).status_code


@contextmanager
def reports_of(client: Client) -> Iterator[list[str]]:
    """What is mailed to the host's people about each request that fails in here."""
    reports: list[str] = []

    def report(request: Any, **_: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.append(reporter.get_traceback_text() + reporter.get_traceback_html())

    got_request_exception.connect(report)
    client.raise_request_exception = False
    yield reports
    got_request_exception.disconnect(report)
    client.raise_request_exception = True


def use(issued: IssuedKey) -> int:
    return call(Client(), issued.secret.reveal())


def many_keys(owner: ServiceUser, count: int) -> list[APIKey]:
    """Keys that nobody has the secrets of, made at once."""
    now, before = timezone.now(), APIKey.objects.count()
    rows = [
        APIKey(
            service_user=owner,
            name=f"name-{before + number}",
            preview="pka_x",
            digest=f"{before + number:064x}",
            created_at=now,
        )
        for number in range(count)
    ]
    APIKey.objects.bulk_create(rows, batch_size=5_000)
    return list(APIKey.objects.order_by("-pk")[:count])
