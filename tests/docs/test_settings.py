"""What docs/settings.md shows, applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from pikku_auth import checks
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import IssuedKey
from tests.conftest import pikku_settings
from tests.docs.pages import names_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _as_written() -> Iterator[None]:
    with pikku_settings(**names_of("settings.md")["PIKKU_AUTH"]):
        yield


def test_they_are_sound() -> None:
    assert checks.check_settings() == []


def test_no_key_lives_longer_than_a_year(mint: Mint) -> None:
    mint(lifetime=timedelta(days=365))
    for lifetime in (None, timedelta(days=366)):
        with pytest.raises(InvalidInput):
            mint(lifetime=lifetime)


def test_no_key_has_a_scope_that_is_not_declared(mint: Mint) -> None:
    mint(scopes=["sandbox:read", "sandbox:write"])
    with pytest.raises(InvalidInput):
        mint(scopes=["sandbox:operate"])
