"""A person's login goes by their Django permissions, as they are when the request comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from example_project import settings as example
from pikku_auth.exceptions import NothingGranted
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        settings.AUTH_USER_MODEL != "auth.User", reason="the example has Django's own users"
    ),
]

SANDBOXES = "/api/sandboxes/"
READ, WRITE = "sandbox:read", "sandbox:write"


@pytest.fixture(autouse=True)
def _given_as_shipped() -> Iterator[None]:
    with pikku_settings(LOGIN_SCOPES=example.PIKKU_AUTH["LOGIN_SCOPES"]):
        yield


@pytest.fixture
def grace(make_user: Callable[..., Any]) -> Any:
    return make_user("grace")


def change(*options: str) -> None:
    call_command("change_person", "grace", *options)


def answers(headers: dict[str, str]) -> tuple[int, int]:
    """The statuses of looking, and of making a sandbox."""
    client = Client()
    made = client.post(SANDBOXES, {"name": "mine"}, headers=headers)
    return client.get(SANDBOXES, headers=headers).status_code, made.status_code


def test_person_without_rights_can_approve_no_login(grace: Any) -> None:
    with pytest.raises(NothingGranted):
        logged_in(grace)


def test_login_may_do_what_its_person_is_allowed_now(grace: Any) -> None:
    change("--allow", "view_sandbox")
    headers = bearer(logged_in(grace))
    assert answers(headers) == (200, 403)
    change("--allow", "add_sandbox")
    assert answers(headers) == (200, 201)
    change("--forbid", "view_sandbox", "--forbid", "add_sandbox")
    assert answers(headers) == (403, 403)


def test_refusal_names_the_scope(grace: Any) -> None:
    change("--allow", "view_sandbox")
    answer = Client().post(SANDBOXES, {"name": "mine"}, headers=bearer(logged_in(grace)))
    assert answer.json() == {"detail": f"Missing scope: {WRITE}.", "code": "insufficient_scope"}


def test_superuser_has_every_scope(make_user: Callable[..., Any]) -> None:
    assert logged_in(make_user("root", is_superuser=True)).login.scopes == [READ, WRITE]


def test_command_says_what_the_person_may_do(
    grace: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    change("--allow", "view_sandbox")
    change("--forbid", "view_sandbox")
    assert capsys.readouterr().out == "grace has sandbox:read.\ngrace has no scope.\n"


def test_command_knows_no_stranger() -> None:
    with pytest.raises(CommandError, match="There is no user grace"):
        change("--allow", "view_sandbox")
