"""The same screens on an admin site of the host's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from pikku_auth.flows import IssuedKey
from pikku_auth.models import APIKey
from tests.admin.pages import SECRET, form_id, html_of

pytestmark = pytest.mark.django_db

BASE = "/operations/pikku_auth"


@pytest.mark.parametrize(
    "page",
    [
        "apikey/",
        "apikey/add/",
        "apikey/{pk}/change/",
        "apikey/{pk}/history/",
        "apikey/act/revoke/?ids={pk}",
        "serviceuser/",
        "serviceuser/{owner}/change/",
    ],
)
def test_every_page_leads_to_pages_of_that_site(
    superuser: Client, mint: Callable[..., IssuedKey], page: str
) -> None:
    key = mint().key
    html = html_of(superuser.get(f"{BASE}/{page.format(pk=key.pk, owner=key.service_user_id)}"))
    assert 'href="/operations/' in html
    assert 'href="/admin/' not in html
    assert 'action="/admin/' not in html


def test_a_key_is_minted_and_revoked_there(
    superuser: Client, mint: Callable[..., IssuedKey]
) -> None:
    owner = mint().key.service_user_id
    sent = {"service_user": owner, "expires_in": "90d", "form_id": form_id(superuser)}
    assert SECRET.search(html_of(superuser.post(f"{BASE}/apikey/add/", sent)))
    key = APIKey.objects.latest("pk")
    done = superuser.post(f"{BASE}/apikey/act/revoke/", {"ids": key.pk, "confirm": "yes"})
    assert done["Location"] == f"{BASE}/apikey/"


def test_a_site_without_a_screen_for_keys_says_nothing_of_them(
    superuser: Client, mint: Callable[..., IssuedKey]
) -> None:
    owner = mint(name="production").key.service_user
    for page in ("change", "history"):
        html = html_of(superuser.get(f"/machines/pikku_auth/serviceuser/{owner.pk}/{page}/"))
        assert "Mint a key" not in html
        assert "apikey" not in html


def test_what_it_has_no_screen_for_is_not_linked(
    superuser: Client, mint: Callable[..., IssuedKey]
) -> None:
    owner = mint().key.service_user
    html = html_of(superuser.get(f"{BASE}/serviceuser/{owner.pk}/change/"))
    assert f">{owner.user}<" in html
    assert "auth/user" not in html
