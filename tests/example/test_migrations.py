"""A site that has sandboxes already can move on to organisations, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE, AFTER = "0001_initial", "0002_organisations"


def migrated_to(name: str) -> Any:
    """Migrate the app; its model ``Sandbox`` of that time."""
    executor = MigrationExecutor(connection)
    apps = executor.migrate([("sandboxes", name)]).apps
    return apps.get_model("sandboxes", "Sandbox")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    migrated_to(AFTER)


def test_sandboxes_that_exist_go_to_the_default_organisation(make_user: Callable[..., Any]) -> None:
    sandboxes = migrated_to(BEFORE).objects
    for name in ("mine", "yours"):
        sandboxes.create(name=name, created_by_id=make_user(name).pk)
    after = migrated_to(AFTER).objects
    told = after.values_list("name", "organisation__name", "status")
    assert list(told) == [("mine", "default", "running"), ("yours", "default", "running")]


def test_a_site_without_sandboxes_gets_no_organisation() -> None:
    migrated_to(BEFORE)
    organisations = migrated_to(AFTER)._meta.get_field("organisation").related_model.objects
    assert organisations.count() == 0


def test_they_survive_the_way_back(make_user: Callable[..., Any]) -> None:
    migrated_to(BEFORE).objects.create(name="mine", created_by_id=make_user().pk)
    migrated_to(AFTER)
    assert migrated_to(BEFORE).objects.get().name == "mine"
