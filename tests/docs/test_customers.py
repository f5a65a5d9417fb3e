"""What docs/customers.md shows, run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import path

from pikku_auth.core.permissions import scope_strings
from pikku_auth.flows import verify_key
from pikku_auth.models import AuditEvent, ServiceUser
from pikku_auth.testing import key_headers


def test_customers_make_keys_see_their_own_and_revoke_only_those(
    shop: dict[str, Any], make_user: Callable[..., Any], client: Any, settings: Any
) -> None:
    ada, eve = (shop["Customer"].objects.create(name=name) for name in ("Ada's", "Eve's"))
    actor = make_user("ada")
    issued = shop["mint_for"](ada, "till", ["order:read"], actor)
    assert AuditEvent.objects.latest("pk").actor == actor
    assert shop["mint_for"](ada, "another", ["order:write"], actor).key.service_user_id
    assert ServiceUser.objects.count() == 1
    theirs = shop["mint_for"](eve, "till", ["order:read"], actor)
    assert {key.name for key in shop["keys_of"](ada)} == {"till", "another"}

    settings.ROOT_URLCONF = (path("orders/", shop["orders"]),)
    assert client.get("/orders/", headers=key_headers(issued)).json() == {"customer": "Ada's"}
    assert client.get("/orders/", headers=key_headers(theirs)).json() == {"customer": "Eve's"}

    with pytest.raises(issued.key.DoesNotExist):
        shop["revoke_for"](ada, theirs.key.pk, actor)
    assert shop["revoke_for"](ada, issued.key.pk, actor)
    assert client.get("/orders/", headers=key_headers(issued)).status_code == 401


def test_a_customer_gets_no_other_scope(
    shop: dict[str, Any], make_user: Callable[..., Any]
) -> None:
    ada = shop["Customer"].objects.create(name="Ada's")
    with pytest.raises(ValueError, match="no such scope"):
        shop["mint_for"](ada, "till", ["*"], make_user("ada"))
    issued = shop["mint_for"](ada, "till", ["order:read"], None)
    principal = verify_key(issued.secret.reveal())
    assert scope_strings(principal.permissions) == ["order:read"]
