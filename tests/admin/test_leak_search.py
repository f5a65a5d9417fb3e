"""Finding whose a leaked secret is: it is digested, and shown and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.models import APIKey
from tests.admin.conftest import Staff
from tests.admin.pages import (
    EVENTS,
    KEYS,
    LOGINS,
    SERVICE_USERS,
    html_of,
    messages_of,
    reports_of,
)
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


@pytest.fixture
def viewer(staff: Staff) -> Client:
    return staff("view_apikey", "view_serviceuser")


def find(client: Client, text: str, base: str = KEYS) -> Any:
    return client.post(f"{base}find/", {"secret": text})


class TestFindingALeakedKey:
    """Paste what was in a log."""

    def test_its_page_comes_up(self, viewer: Client, mint: Mint) -> None:
        issued = mint()
        for pasted in (issued.secret.reveal(), f"  {issued.secret.reveal()}\n", issued.key.digest):
            response = find(viewer, pasted)
            assert response["Location"] == f"{KEYS}{issued.key.pk}/change/"
            assert issued.secret.reveal() not in repr(response.headers)

    def test_a_dead_one_too(self, viewer: Client, mint: Mint) -> None:
        issued = mint()
        revoke_key(issued.key)
        assert "/change/" in find(viewer, issued.secret.reveal())["Location"]

    @pytest.mark.parametrize(
        "text", ["", "x", "pka_" + "0" * 49, "0" * 64, "\0", "ü" * 40, "x" * 9999]
    )
    def test_what_belongs_to_nothing_is_said_to(self, viewer: Client, text: str) -> None:
        response = find(viewer, text)
        assert response["Location"] == KEYS
        assert messages_of(response) == [
            "No key and no login here has that secret. Was it copied in full?"
        ]

    def test_it_comes_by_post_only(self, viewer: Client, mint: Mint) -> None:
        response = viewer.get(f"{KEYS}find/", {"secret": mint().secret.reveal()})
        assert (response.status_code, response["Allow"]) == (405, "POST")

    def test_a_key_of_another_system_is_found(self, viewer: Client, mint: Mint) -> None:
        key = mint().key
        digest = sha256(b"sk-abc-123").hexdigest()
        APIKey.objects.filter(pk=key.pk).update(digest=digest)
        assert find(viewer, "sk-abc-123")["Location"] == f"{KEYS}{key.pk}/change/"


IN_A_LOG = [
    "x-api-key: {}",
    "PIKKU_API_KEY={}",
    '"{}"',
    "The key is {}.",
    "Authorization: Bearer {}",
    "GET /?key={}&page=2",
    "[error] (pka_broken) tried {}, then slept",
]


@pytest.mark.parametrize("line", IN_A_LOG)
def test_it_is_found_as_it_stands_in_a_log(viewer: Client, mint: Mint, line: str) -> None:
    issued = mint()
    pasted = line.format(issued.secret.reveal())
    assert find(viewer, pasted)["Location"] == f"{KEYS}{issued.key.pk}/change/"


def test_so_is_its_digest(viewer: Client, mint: Mint) -> None:
    key = mint().key
    for line in (f"sha256:{key.digest}", f"{key.digest.upper()}  -"):
        assert find(viewer, line)["Location"] == f"{KEYS}{key.pk}/change/"


def test_so_is_a_token(staff: Staff, make_user: Any) -> None:
    issued = logged_in(make_user("ada"))
    line = f"Authorization: Bearer {issued.token.reveal()}"
    found = find(staff("view_loginsession"), line, LOGINS)
    assert found["Location"] == f"{LOGINS}{issued.login.pk}/change/"


@pytest.mark.parametrize("base", [KEYS, SERVICE_USERS, LOGINS, EVENTS])
class TestEveryList:
    """Each has the box, and knows a secret in the other."""

    def test_has_the_box(self, superuser: Client, mint: Mint, base: str) -> None:
        issued = mint()
        assert 'id="pikku-find"' in html_of(superuser.get(base))
        found = find(superuser, issued.secret.reveal(), base)
        assert found["Location"] == f"{KEYS}{issued.key.pk}/change/"

    def test_warns_of_a_secret_that_is_searched_for(
        self, superuser: Client, mint: Mint, base: str
    ) -> None:
        response = superuser.get(base, {"q": f"x-api-key: {mint().secret.reveal()}"})
        assert list(response.context["cl"].result_list) == []
        (warning,) = messages_of(response)
        assert warning.startswith("That looks like a secret, and it is now in this page's address")

    def test_searches_for_everything_else(self, superuser: Client, base: str) -> None:
        response = superuser.get(base, {"q": "pka_0123 or_so"})
        assert messages_of(response) == []


@pytest.mark.parametrize("table", ["django_session", "pikku_auth_apikey"])
def test_an_outage_reports_no_secret(viewer: Client, mint: Mint, table: str) -> None:
    """Not before the view is reached, nor in it: both ask the database."""
    secret = mint().secret.reveal()

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        if table in sql:
            raise OperationalError("the connection is gone")
        return execute(sql, *rest)

    with reports_of(viewer) as reports, connection.execute_wrapper(fail):
        assert find(viewer, secret).status_code == 500
    (report,) = reports
    assert "the connection is gone" in report
    assert secret not in report
