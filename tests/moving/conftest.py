"""What other packages have issued, in the database of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from knox.models import AuthToken
from pytest_django import Settings
from rest_framework.authtoken.models import Token
from rest_framework_api_key.models import APIKey as ForeignKey

HEADERS = ["Authorization: Token", "Authorization: Api-Key", "X-Old-Key"]


@pytest.fixture
def imported_keys(settings: Settings) -> None:
    """Look imported credentials up."""
    imported = {"headers": HEADERS, "until": None}
    settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "IMPORTED_KEYS": imported}


@pytest.fixture
def drf_token(make_user: Callable[..., Any]) -> Callable[..., str]:
    """The token of a new user, by ``authtoken``."""

    def make(name: str = "ada", **fields: Any) -> str:
        return Token.objects.create(user=make_user(name, **fields)).key

    return make


@pytest.fixture
def knox_token(make_user: Callable[..., Any]) -> Callable[..., str]:
    """The token of a new user, by knox."""

    def make(name: str = "ada", **options: Any) -> str:
        token: str = AuthToken.objects.create(make_user(name), **options)[1]
        return token

    return make


@pytest.fixture
def foreign_key(db: None) -> Callable[..., str]:
    """A key of djangorestframework-api-key."""

    def make(name: str = "billing", **fields: Any) -> str:
        return ForeignKey.objects.create_key(name=name, **fields)[1]

    return make
