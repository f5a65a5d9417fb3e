"""The helpers that hosts use in their own tests."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from pikku_auth.testing import client_with_key, key_headers, mint_test_key

pytestmark = pytest.mark.django_db


def test_a_client_with_a_key_is_authenticated_by_it() -> None:
    client = client_with_key(["sandbox:read"])
    assert client.get("/api/sandboxes/").status_code == 200
    assert client.post("/api/sandboxes/", {"name": "mine"}).status_code == 403


def test_a_minted_test_key_can_be_presented_by_any_client(api: APIClient) -> None:
    issued = mint_test_key(["sandbox:read"], service="builder", lifetime=timedelta(hours=1))
    assert api.get("/api/sandboxes/", headers=key_headers(issued)).status_code == 200
    assert issued.key.service_user.name == "builder"


def test_keys_of_one_service_share_a_service_user() -> None:
    assert mint_test_key().key.service_user == mint_test_key().key.service_user
