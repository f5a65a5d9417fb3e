"""A process of a host with Sentry's SDK, which prints what that would have sent.

It stands alone, because the SDK changes Django and other libraries for as long as a process lives.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import django
import sentry_sdk
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client, override_settings
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.transport import Transport

from tests.docs.pages import names_of

EVENTS: list[str] = []
Call = tuple[str, str, Any, dict[str, str]]
"""The method, the path, the body, and the headers."""


class Kept(Transport):
    """Keeps the events, in place of the network."""

    def capture_envelope(self, envelope: Any) -> None:
        EVENTS.extend(item.payload.get_bytes().decode() for item in envelope.items)


class Failing:
    """Fails at the ``at``-th statement."""

    def __init__(self, at: int, error: type[Exception]) -> None:
        self.left, self.error = at, error

    def __call__(self, execute: Any, *args: Any) -> Any:
        if self.left == 0:
            raise self.error("canary")
        self.left -= 1
        return execute(*args)


class FailingMiddleware:
    """A host's own, which fails after it has read the body."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        content = len(request.body)
        raise RuntimeError(f"canary of {content} bytes")


def initialise() -> None:
    names = names_of("security.md")
    sentry_sdk.init(
        dsn="http://public@127.0.0.1:1/1",
        transport=Kept,
        integrations=[DjangoIntegration()],
        send_default_pii=True,
        max_request_body_size="always",
        event_scrubber=names["scrubber"],
        before_send=names["without_user_codes"],
    )


def prepare() -> tuple[list[str], dict[str, Call]]:
    """The secrets, and a request of each endpoint that takes one."""
    from django.contrib.auth import get_user_model

    from pikku_auth.flows import create_service_user, mint_key
    from tests.logins import bearer, logged_in, poll_body, started_and_claimed

    root = get_user_model()._default_manager.create_superuser("root@example.com")
    key = mint_key(create_service_user("ci"), scopes=["sandbox:read"]).secret.reveal()
    login, started = logged_in(root), started_and_claimed(root)
    token, code = login.token.reveal(), started.user_code.reveal()
    spaced = f"{code[:4]}-{code[4:]}"
    browser, api = {"Origin": "http://testserver"}, {"x-api-key": key}
    page = {**browser, "Referer": f"http://testserver/auth/activate?user_code={spaced}"}
    poll, holder = poll_body(started), bearer(login)
    calls: dict[str, Call] = {
        "start": ("post", "/auth/device/code", {"client_id": "ci"}, api),
        "poll": ("post", "/auth/device/token", poll, {}),
        "look up": ("get", f"/auth/device?user_code={spaced}", None, browser),
        "approve": ("post", "/auth/device/approve", {"userCode": spaced}, browser),
        "deny": ("post", "/auth/device/deny", {"userCode": spaced}, browser),
        "page": ("get", f"/auth/activate?user_code={spaced}", None, page),
        "form": ("form", "/auth/activate", {"step": "look-up", "user_code": spaced}, page),
        "session": ("get", "/auth/get-session", None, holder),
        "sessions": ("get", "/auth/list-sessions", None, holder),
        "sign out": ("post", "/auth/sign-out", {}, holder),
        "revoke": ("post", "/auth/revoke-session", {"token": token}, holder),
        "whoami by key": ("get", "/auth/whoami", None, api),
        "whoami by login": ("get", "/auth/whoami", None, holder),
        "ticket": ("post", "/auth/ws-ticket", {}, api),
        "find": ("form", "/admin/pikku_auth/apikey/find/", {"secret": key}, page),
    }
    return [key, token, poll["device_code"], code, spaced], calls


def signed_in() -> Client:
    from django.contrib.auth import get_user_model

    client = Client(raise_request_exception=False)
    client.force_login(get_user_model()._default_manager.get(is_superuser=True))
    return client


def send(client: Client, call: Call) -> int:
    method, path, body, headers = call
    kind = {} if method == "form" else {"content_type": "application/json"}
    act = client.get if method == "get" else client.post
    options = {} if method == "get" else kind
    sentry_sdk.add_breadcrumb(message="before", data={**headers, **(body or {})})
    response: Any = act(path, body, headers=headers, **options)  # type: ignore[operator]
    return int(response.status_code)


def failures() -> Iterator[Any]:
    for error, statements in ((RuntimeError, 6), (OperationalError, 2)):
        for at in range(statements):
            yield connection.execute_wrapper(Failing(at, error))
    own = [f"{__name__}.FailingMiddleware", *settings.MIDDLEWARE]
    yield override_settings(MIDDLEWARE=own)


def main() -> None:
    django.setup()
    logging.disable(logging.NOTSET)
    call_command("migrate", verbosity=0)
    initialise()
    secrets, calls = prepare()
    told: dict[str, Any] = {}
    for name, call in calls.items():
        found, count = set(), 0
        for failure in failures():
            client = signed_in()
            EVENTS.clear()
            # A failure after the response, in request_finished, reaches the client.
            with failure, suppress(RuntimeError):
                send(client, call)
            sentry_sdk.flush()
            count += len(EVENTS)
            found |= {s for s in secrets for event in EVENTS if s in event}
        told[name] = [count, sorted(s[:4] for s in found)]
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
