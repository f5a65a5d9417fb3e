"""Each record of the logger ``pikku_auth`` has the same fields, for a program that reads it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

import pikku_auth
from pikku_auth.flows import IssuedKey, revoke_key, revoke_login
from pikku_auth.flows.log import FIELDS, fields
from pikku_auth.models import APIKey, SocketTicket
from pikku_auth.testing import key_headers
from tests.logins import approved, bearer, logged_in, row_of

PACKAGE = Path(pikku_auth.__file__).parent
WRITING = {"log", "debug", "info", "warning", "error", "exception", "critical"}

pytestmark = pytest.mark.django_db


def calls_of_the_logger() -> list[tuple[str, ast.Call]]:
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr in WRITING) == ("logger", True)
    ]


def test_every_record_has_the_fields() -> None:
    calls = calls_of_the_logger()
    assert len(calls) > 10
    lacking = [at for at, call in calls if "extra" not in {word.arg for word in call.keywords}]
    assert lacking == []


def told(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = [record for record in caplog.records if record.name == "pikku_auth"]
    return {name: getattr(record, name) for name in FIELDS}


def ask(headers: dict[str, str]) -> None:
    Client().get("/auth/whoami", headers=headers, REMOTE_ADDR="192.0.2.7")


def test_a_refused_key_is_named(
    mint: Callable[..., IssuedKey], caplog: pytest.LogCaptureFixture
) -> None:
    issued = mint()
    revoke_key(issued.key)
    ask(key_headers(issued))
    assert told(caplog) == {
        "reason": "revoked",
        "key_id": issued.key.pk,
        "service_user": "sandbox-runtime",
        "login_id": None,
        "user_id": issued.key.service_user.user_id,
        "ip": "192.0.2.7",
    }


def test_a_refused_login_is_named(
    make_user: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    ada = make_user("ada")
    issued = logged_in(ada)
    revoke_login(issued.login)
    ask(bearer(issued))
    said = told(caplog)
    assert (said["reason"], said["login_id"]) == ("revoked", issued.login.pk)
    assert (said["user_id"], said["key_id"]) == (ada.pk, None)


def test_a_stranger_is_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pikku_auth")
    ask({"x-api-key": "nonsense"})
    assert told(caplog) == {
        **dict.fromkeys(FIELDS),
        "reason": "malformed",
        "ip": "192.0.2.7",
    }


def test_no_query_is_asked_for_a_name(
    mint: Callable[..., IssuedKey], django_assert_num_queries: Any
) -> None:
    row = APIKey.objects.get(pk=mint().key.pk)
    with django_assert_num_queries(0):
        said = fields("revoked", row)
    assert (said["key_id"], said["service_user"]) == (row.pk, None)


def test_a_ticket_is_its_holder(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    key, login, ada = mint().key, logged_in(make_user("ada")).login, make_user("eve")
    assert fields("x", SocketTicket(key=key))["key_id"] == key.pk
    assert fields("x", SocketTicket(login=login))["login_id"] == login.pk
    assert fields("x", SocketTicket(user=ada))["user_id"] == ada.pk


def test_a_code_is_of_who_approved_it(make_user: Callable[..., Any]) -> None:
    ada = make_user("ada")
    assert fields("x", row_of(approved(ada)))["user_id"] == ada.pk


@pytest.mark.parametrize("credential", ["key", "login"])
def test_what_nobody_reads_is_not_written(
    mint: Callable[..., IssuedKey],
    make_user: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    credential: str,
) -> None:
    caplog.set_level("ERROR", "pikku_auth")
    key, login = mint(), logged_in(make_user("ada"))
    revoke_key(key.key)
    revoke_login(login.login)
    ask(key_headers(key) if credential == "key" else bearer(login))
    assert [record for record in caplog.records if record.name == "pikku_auth"] == []
