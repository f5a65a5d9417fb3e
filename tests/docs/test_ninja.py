"""What docs/ninja.md shows, asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import path

from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.docs.pages import names_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_operations_answer_their_caller(mint: Callable[..., IssuedKey], settings: Any) -> None:
    settings.ROOT_URLCONF = (path("api/", names_of("ninja.md")["api"].urls),)
    reader, writer = (
        key_headers(mint(permissions=[scope])) for scope in ("sandbox:read", "sandbox:write")
    )
    assert Client().get("/api/whoami", headers=reader).json()["via"] == "api_key"
    assert Client().post("/api/sandboxes", headers=reader).status_code == 403
    assert Client().post("/api/sandboxes", headers=writer).status_code == 200
