"""Fixtures: loading one restores its rows, and replaces no other that has the same id."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import models
from django.utils import timezone

from pikku_auth.flows import create_service_user, import_key, mint_key, rotate_key
from pikku_auth.flows.keys.verify import verify_digest
from pikku_auth.flows.request_ids import once
from pikku_auth.flows.throttling import CLAIMS, spend_attempt
from pikku_auth.flows.tickets import issue_ticket
from pikku_auth.models import Attempts, Notice, ServiceUser
from tests.logins import logged_in

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

OURS = list(apps.get_app_config("pikku_auth").get_models())
Row = tuple[Any, ...]


def fill(name: str, make_user: Callable[..., Any]) -> None:
    """A row in every table of ours, each somebody's of that name."""
    owner = create_service_user(f"{name}-worker")
    key = mint_key(owner, name=f"{name}-key")
    issue_ticket(verify_digest(key.secret.digest))
    Notice.objects.create(key=key.key, about="expiring 14d 2026-12-01T00:00:00Z")
    rotate_key(key.key, overlap=None)
    import_key(owner, digest=sha256(name.encode()).hexdigest(), preview=name[:8])
    logged_in(make_user(name))
    Attempts.objects.all().delete()  # the same address's on both sides, and so the same row
    now = timezone.now()
    spend_attempt(name, CLAIMS, now)
    with once(name, "1", "", now) as held:
        held.made(key.key)


def rows_of(model: type[models.Model]) -> set[Row]:
    """The rows with what they refer to, by their natural keys, and without ids."""
    return {_values(row) for row in model._default_manager.all()}


def _values(row: Any) -> Row:
    """What a row says. A fixture of JSON has times to the millisecond."""
    values = []
    for field in row._meta.concrete_fields:
        value = getattr(row, field.name)
        if isinstance(value, models.Model):
            value = value.natural_key()  # type: ignore[attr-defined]  # ours and users have one
        elif hasattr(value, "microsecond"):
            value = value.replace(microsecond=value.microsecond // 1000 * 1000)
        if not field.primary_key:
            values.append(repr(value))
    return tuple(values)


def dump(path: Path) -> None:
    call_command(
        "dumpdata", settings.AUTH_USER_MODEL, "pikku_auth", output=str(path), verbosity=0,
        use_natural_foreign_keys=True, use_natural_primary_keys=True,
    )  # fmt: skip


def everything() -> dict[str, set[Row]]:
    return {model.__name__: rows_of(model) for model in OURS}


def ids_in_use() -> list[Any]:
    return [sorted(model._default_manager.values_list("pk", flat=True)) for model in OURS]


def test_loading_a_fixture_adds_its_rows_and_replaces_none(
    tmp_path: Path, make_user: Callable[..., Any]
) -> None:
    fill("staging", make_user)
    dump(tmp_path / "fixture.json")
    staging = everything()
    ids = ids_in_use()
    call_command("flush", interactive=False, verbosity=0)
    fill("production", make_user)
    production = everything()
    assert ids_in_use() == ids
    call_command("loaddata", str(tmp_path / "fixture.json"), verbosity=0)
    for model in OURS:
        name = model.__name__
        assert staging[name]
        assert rows_of(model) == staging[name] | production[name]


def test_loading_a_fixture_again_changes_nothing(
    tmp_path: Path, make_user: Callable[..., Any]
) -> None:
    fill("staging", make_user)
    dump(tmp_path / "fixture.json")
    before, ids = everything(), ids_in_use()
    call_command("loaddata", str(tmp_path / "fixture.json"), verbosity=0)
    assert everything() == before
    assert ids_in_use() == ids


def test_fixture_names_no_id_of_ours(tmp_path: Path, make_user: Callable[..., Any]) -> None:
    fill("staging", make_user)
    dump(tmp_path / "fixture.json")
    for row in json.loads((tmp_path / "fixture.json").read_text()):
        assert "pk" not in row


def test_row_that_is_not_there_is_not_found_by_its_natural_key(service_user: ServiceUser) -> None:
    assert ServiceUser.objects.get_by_natural_key(service_user.name) == service_user
    with pytest.raises(ServiceUser.DoesNotExist):
        ServiceUser.objects.get_by_natural_key("nobody")
