"""What docs/models.md lists exists, and its queries find what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from pikku_auth import models
from pikku_auth.flows import IssuedKey, revoke_key
from tests.docs.pages import examples, run, text_of

DAY = timedelta(days=1)


def listed_of(model: str) -> Iterator[str]:
    section = text_of("models.md").partition(f"## `{model}`\n")[2].partition("\n## ")[0]
    for cell in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE):
        yield from re.findall(r"`(\w+)(?:\(\w+\))?`", cell)


@pytest.mark.parametrize("model", ["ServiceUser", "APIKey", "LoginSession", "AuditEvent"])
def test_each_name_is_there(model: str) -> None:
    names = list(listed_of(model))
    assert len(names) > 6
    assert [name for name in names if not hasattr(getattr(models, model), name)] == []


@pytest.mark.django_db
def test_the_queries_find_what_they_say(mint: Callable[..., IssuedKey]) -> None:
    queries, _ = examples("models.md")
    ago = timezone.now() - 100 * DAY
    old = mint(name="old", lifetime=None, now=ago).key
    soon = mint(name="soon", lifetime=DAY).key
    revoke_key(mint(name="revoked").key)
    found = run(queries, {})
    assert set(found["live"]) == {old, soon}
    assert set(found["ending"]) == {soon}
    assert set(found["unused"]) == {old}
    assert set(found["of_a_machine"]) == {old, soon}
    assert not found["open_logins"].exists()
    assert found["today"][0].action == models.AuditEvent.Action.KEY_REVOKED


def test_a_model_of_yours_may_name_ours() -> None:
    _, field = examples("models.md")
    machine = run(field, {})["machine"]
    assert machine.remote_field.model == "pikku_auth.ServiceUser"


def test_the_short_lived_models_are_there() -> None:
    others = text_of("models.md").partition("## The other models")[2]
    names = re.findall(r"`(\w+)`", others)
    assert [name for name in names if not hasattr(models, name)] == []
