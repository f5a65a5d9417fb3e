"""The test that docs/testing.md shows, run against the example project."""

from __future__ import annotations

import pytest

from pikku_auth.models import APIKey
from tests.docs.pages import names_of


@pytest.mark.django_db
def test_its_test_passes() -> None:
    names_of("testing.md")["test_a_reader_may_not_write"](db=None)
    assert APIKey.objects.get().scopes == ["sandbox:read"]
