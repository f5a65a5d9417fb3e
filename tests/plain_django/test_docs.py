"""What docs/django.md and docs/mapping.md show, run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from example_project.sandboxes.models import Organisation, Sandbox
from pikku_auth.flows import IssuedKey

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).parent.parent.parent / "docs"
Mint = Callable[..., IssuedKey]


def names_of(page: str) -> dict[str, Any]:
    """What the page's examples define."""
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(example, names)  # noqa: S102  # the documentation is the thing under test
    return names


def test_the_views_answer_their_caller(mint: Mint) -> None:
    names, issued = names_of("django.md"), mint(permissions=["sandbox:read"])
    user: Any = issued.key.service_user.user
    request = RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal()})
    name = user.get_username().encode()
    assert name in names["sandboxes"](request).content
    assert name in names["Sandboxes"].as_view()(request).content
    assert asyncio.iscoroutinefunction(names["sandboxes_too"])
    assert names["MIDDLEWARE"][-1] == "pikku_auth.middleware.PikkuAuthMiddleware"


def test_the_mapping_follows_the_rows(mint: Mint) -> None:
    map_key, request = names_of("mapping.md")["map_key"], RequestFactory().get("/")
    plain = mint().key
    assert map_key(plain, request).claims == {}
    sandbox = Sandbox.objects.create(
        name="b2f7",
        organisation=Organisation.objects.create(name="acme"),
        created_by=plain.service_user.user,
    )
    bound = mint(metadata={"sandbox": sandbox.pk}).key
    assert map_key(bound, request).claims == {"sandbox": sandbox.pk}
    sandbox.delete()
    assert map_key(bound, request) is None
