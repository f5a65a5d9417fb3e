"""A list without a row says how the first one comes to be; one that a filter emptied doesn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.admin.pages import EVENTS, KEYS, LOGINS, SERVICE_USERS, html_of
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

EMPTY = {
    KEYS: "“Add API key”, or manage.py mint_key does",
    SERVICE_USERS: "“Add service user”, or manage.py create_service_user does",
    LOGINS: "“pikku-auth login --url http://testserver” in a terminal",
    EVENTS: "Each change to a service user, a key or a login is recorded here.",
}


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_list_says_how_its_first_row_comes_to_be(superuser: Client, path: str) -> None:
    assert EMPTY[path] in html_of(superuser.get(path))
    assert EMPTY[path] in html_of(superuser.get(path, {"o": "1"}))
    assert EMPTY[path] not in html_of(superuser.get(path, {"q": "nothing-has-this"}))


@pytest.mark.parametrize("path", EMPTY)
def test_a_list_with_rows_does_not(
    superuser: Client, mint: Callable[..., Any], make_user: Callable[..., Any], path: str
) -> None:
    mint()
    logged_in(make_user("ada"))
    assert EMPTY[path] not in html_of(superuser.get(path))
