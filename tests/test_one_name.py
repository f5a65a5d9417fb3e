"""A person has one name: the one that they sign in with, wherever ours shows a name."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from pikku_auth.client.models import name_of
from pikku_auth.flows import AuditContext, create_service_user, mint_key, revoke_login
from pikku_auth.flows.device_flow import start_login
from pikku_auth.models import AuditEvent
from pikku_auth.testing import key_headers
from tests.logins import bearer, browser_of, logged_in

pytestmark = pytest.mark.django_db

OTHER_NAME = "Countess Lovelace"


@pytest.fixture
def ada(make_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Somebody whom the host calls something else in a list, and by a full name as well."""
    user = make_user("ada", is_staff=True, is_superuser=True)
    for field, value in {"first_name": "Countess", "last_name": "Lovelace"}.items():
        setattr(user, field, value)
    user.save()
    monkeypatch.setattr(type(user), "__str__", lambda _: OTHER_NAME)
    return user


def approval_page(ada: Any) -> str:
    code = start_login("pikku-cli", "", context=AuditContext("web")).user_code.reveal()
    page: Any = browser_of(ada).post("/auth/activate", {"step": "look-up", "user_code": code})
    return str(page.content.decode())


def get_session(ada: Any) -> str:
    answer = Client().get("/auth/get-session", headers=bearer(logged_in(ada))).json()
    return str(name_of(answer["user"]))  # what the client makes of it


def whoami(ada: Any) -> str:
    answer = Client().get("/auth/whoami", headers=bearer(logged_in(ada))).json()
    return str(answer["user"])


def introspection(ada: Any) -> str:
    caller = mint_key(create_service_user("gateway"), scopes=["auth:introspect_logins"])
    body = f"token={logged_in(ada).token.reveal()}"
    headers, form = key_headers(caller), "application/x-www-form-urlencoded"
    return str(Client().post("/auth/introspect", body, form, headers=headers).json()["username"])


def admin_logins(ada: Any) -> str:
    logged_in(ada)
    return str(browser_of(ada).get("/admin/pikku_auth/loginsession/").content.decode())


def admin_of_a_key(ada: Any) -> str:
    key = mint_key(create_service_user("runtime"), context=AuditContext("admin", ada)).key
    return str(browser_of(ada).get(f"/admin/pikku_auth/apikey/{key.pk}/change/").content.decode())


def audit_trail(ada: Any) -> str:
    revoke_login(logged_in(ada).login, context=AuditContext("admin", ada))
    event = AuditEvent.objects.latest("pk")
    assert event.subject.endswith(f" of {event.actor_name}")
    return event.actor_name


def command(ada: Any) -> str:
    logged_in(ada)
    told = StringIO()
    call_command("revoke_logins", ada.get_username(), interactive=False, stderr=told)
    return told.getvalue()


@pytest.mark.parametrize(
    "shown",
    [
        approval_page,
        get_session,
        whoami,
        introspection,
        admin_logins,
        admin_of_a_key,
        audit_trail,
        command,
    ],
)  # fmt: skip
def test_a_person_is_called_by_their_username(ada: Any, shown: Callable[[Any], str]) -> None:
    text = unescape(shown(ada))
    assert ada.get_username() in text
    assert OTHER_NAME not in text
