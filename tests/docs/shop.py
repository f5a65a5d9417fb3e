"""The shop of docs/customers.md: an app with a real model, as long as a test runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from pikku_auth.models import ServiceUser
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run


@pytest.fixture
def shop(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of the page, with the table of its model, where any scope may be minted."""
    models, keys, views = examples("customers.md")
    monkeypatch.setitem(apps.all_models, "shop", {})
    names = run(models, {})
    for name in ("shop", "shop.models", "shop.mapping"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    vars(sys.modules["shop.models"]).update(Customer=names["Customer"])
    apps.clear_cache()
    with connection.schema_editor() as editor:
        editor.create_model(names["Customer"])
    try:
        with pikku_settings(SCOPES=None):
            yield run(views, run(keys, names))
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(names["Customer"])
        delattr(ServiceUser, "customer")  # the other end of the model's relation
        apps.all_models.pop("shop", None)
        apps.clear_cache()
