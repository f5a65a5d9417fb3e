"""The figures on the page of this app: how many keys live, end soon, and aren't used."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pikku_auth.admin import paging
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    disable_key,
    mint_key,
    revoke_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import html_of
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

PAGE = "/admin/pikku_auth/"
FIGURE = re.compile(r'<li><a href="([^"]+)"><strong>([^<]+)</strong> ([^<]+)</a></li>')


def figures(client: Client, page: str = PAGE) -> dict[str, tuple[str, str]]:
    """By what it is of: the number, and the address of the list."""
    found = FIGURE.findall(html_of(client.get(page)))
    return {what: (number, unescape(url)) for url, number, what in found}


def numbers(client: Client) -> list[str]:
    return [number for number, _ in figures(client).values()]


@pytest.fixture
def keys(mint: Callable[..., IssuedKey]) -> list[APIKey]:
    """Three that are fine, one that ends soon, two that nobody uses; and dead ones of each."""
    ordinary, fresh, used, soon, idle, never, revoked, disabled = (
        mint(lifetime=timedelta(days=365)).key for _ in range(8)
    )
    now, long_ago = timezone.now(), timezone.now() - timedelta(days=100)

    def change(key: APIKey, **columns: Any) -> None:
        APIKey.objects.filter(pk=key.pk).update(**columns)

    change(ordinary, last_used_at=now)
    change(used, created_at=long_ago, last_used_at=now)
    change(soon, expires_at=now + timedelta(days=13))
    change(idle, created_at=long_ago, last_used_at=now - timedelta(days=91))
    change(never, created_at=long_ago)
    for key in (revoked, disabled):
        change(key, created_at=long_ago, expires_at=now + timedelta(days=13))
    revoke_key(revoked)
    disable_key(disabled)
    return [ordinary, fresh, used, soon, idle, never]


@pytest.mark.usefixtures("keys")
def test_they_are_of_the_keys_that_live(superuser: Client) -> None:
    assert {what: number for what, (number, _) in figures(superuser).items()} == {
        "live": "6",
        "of them, expire within 14 days": "1",
        "of them, not used for 90 days": "2",
    }


@pytest.mark.usefixtures("keys")
def test_each_leads_to_a_list_of_as_many(superuser: Client) -> None:
    for number, url in figures(superuser).values():
        listed: Any = superuser.get(url)
        assert listed.status_code == 200
        assert len(listed.context["cl"].result_list) == int(number)


def test_without_any_key_they_are_nought(superuser: Client) -> None:
    assert numbers(superuser) == ["0", "0", "0"]


@pytest.mark.usefixtures("keys")
def test_they_count_no_further_than_a_list(
    superuser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST", 4)
    assert numbers(superuser)[0] == "more than 4"


def test_they_cost_three_queries_however_many_keys_there_are(
    superuser: Client, mint: Callable[..., IssuedKey], staff: Staff
) -> None:
    def cost(client: Client) -> int:
        client.get(PAGE)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(PAGE)
        return len([q for q in asked if "pikku_auth_apikey" in q["sql"]])

    assert cost(superuser) == 3
    for _ in range(20):
        mint()
    assert cost(superuser) == 3
    assert cost(staff("view_serviceuser")) == 0


@pytest.mark.usefixtures("keys")
def test_who_may_not_see_keys_sees_none(staff: Staff) -> None:
    client = staff("view_serviceuser", "mint_apikey")
    assert client.get(PAGE).status_code == 200
    assert "pikku-figures" not in html_of(client.get(PAGE))
    assert figures(staff("view_apikey", name="viewer")) != {}


def only_builders(user: Any, service_user: ServiceUser) -> bool:
    """Staff manage the machines that build."""
    return service_user.name.startswith("build")


@pytest.mark.usefixtures("keys")
def test_staff_see_the_figures_of_the_machines_that_they_manage(staff: Staff) -> None:
    mint_key(create_service_user("builder"))
    with pikku_settings(MAY_MANAGE=f"{__name__}.only_builders"):
        assert numbers(staff("view_apikey")) == ["1", "0", "0"]


@pytest.mark.usefixtures("keys")
def test_a_site_of_the_hosts_has_them_with_links_of_its_own(superuser: Client) -> None:
    found = figures(superuser, "/operations/pikku_auth/")
    assert [number for number, _ in found.values()] == ["6", "1", "2"]
    assert {url.startswith("/operations/pikku_auth/apikey/?") for _, url in found.values()} == {
        True
    }


def test_a_site_without_keys_has_none(superuser: Client) -> None:
    answer = superuser.get("/machines/pikku_auth/")
    assert answer.status_code == 200
    assert "pikku-figures" not in html_of(answer)


def test_german(superuser: Client) -> None:
    with override_settings(LANGUAGE_CODE="de"):
        assert [*figures(superuser)] == [
            "gültig",
            "davon laufen in 14 Tagen ab",
            "davon 90 Tage nicht genutzt",
        ]
