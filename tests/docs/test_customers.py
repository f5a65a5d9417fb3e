"""What docs/customers.md shows, run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.urls import path

from pikku_auth.core.permissions import scope_strings
from pikku_auth.flows import verify_key
from pikku_auth.models import AuditEvent, ServiceUser
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run


@pytest.fixture(autouse=True)
def _any_scope_may_be_minted() -> Iterator[None]:
    with pikku_settings(SCOPES=None):
        yield


@pytest.fixture
def shop(transactional_db: None) -> Iterator[dict[str, Any]]:
    """The names of the page, and the table of its model."""
    models, keys, views = examples("customers.md")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(apps.all_models, "shop", {})
        names = run(models, {})
        customer = names["Customer"]
        apps.clear_cache()
        with connection.schema_editor() as editor:
            editor.create_model(customer)
        try:
            yield run(views, run(keys, names))
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(customer)
            forget(customer)


def forget(model: Any) -> None:
    """Take the model's relation off the models of others."""
    delattr(ServiceUser, "customer")
    apps.all_models.pop("shop", None)
    apps.clear_cache()


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
