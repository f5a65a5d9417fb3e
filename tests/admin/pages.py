"""What staff press, as requests."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.messages import get_messages
from django.test import Client

from pikku_auth.flows import IssuedKey

KEYS = "/admin/pikku_auth/apikey/"
SERVICE_USERS = "/admin/pikku_auth/serviceuser/"
LOGINS = "/admin/pikku_auth/loginsession/"
EVENTS = "/admin/pikku_auth/auditevent/"
MINT = f"{KEYS}add/"

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


def rotate(client: Client, *keys: Any, overlap: str = "24h", delivery: str = "page") -> Any:
    return act(client, "rotate", *keys, overlap=overlap, delivery=delivery)


def form_id(client: Client) -> str:
    """What tells this form from another."""
    found = re.search(r'name="form_id" value="(\w+)"', html_of(client.get(MINT)))
    assert found
    return found[1]


def mint(client: Client, owner: Any, /, **fields: Any) -> Any:
    """Fill in the form and send it."""
    given = {"service_user": owner.pk, "expires_in": "90d", "form_id": form_id(client)}
    return client.post(MINT, given | fields)


def call(client: Client, secret: str) -> int:
    """The status of a request to the example's API with the key."""
    return client.get("/api/sandboxes/", headers={"x-api-key": secret}).status_code


def use(issued: IssuedKey) -> int:
    return call(Client(), issued.secret.reveal())
