"""Empty the database after a test with transactions, but keep what ``migrate`` has made.

Django's own flush makes every permission and content type anew, which takes longer than most
of the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

KEPT = (ContentType, Permission)


@contextmanager
def quickly(made: list[Any]) -> Iterator[None]:
    """Have each test flush so; if it has changed what is kept, have Django flush."""
    original = TransactionTestCase._fixture_teardown

    def flush(case: Any) -> None:
        if rows_that_are_kept() == made:
            flush_the_rest()
        else:
            original(case)
            made[:] = rows_that_are_kept()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush)
        yield


def rows_that_are_kept() -> list[Any]:
    return [list(model._default_manager.order_by("pk").values_list()) for model in KEPT]


def flush_the_rest() -> None:
    kept = {model._meta.db_table for model in KEPT}
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [name for name in names if name not in kept]
    if connection.vendor == "postgresql":  # where TRUNCATE takes long, and foreign keys can wait
        statements = [f"DELETE FROM {connection.ops.quote_name(name)}" for name in tables]  # noqa: S608
    else:
        statements = connection.ops.sql_flush(no_style(), tables)
    connection.ops.execute_sql_flush(statements)
