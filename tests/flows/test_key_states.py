"""What a key is now: told alike by a row and by the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.flows import create_service_user
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
moments = st.sampled_from([None, *(NOW + timedelta(seconds=s) for s in (-1, 0, 1))])
rows = st.fixed_dictionaries(
    {
        "revoked_at": moments,
        "expires_at": moments,
        "enabled": st.booleans(),
        "remaining": st.sampled_from([None, 0, 1]),
        "refill_count": st.sampled_from([None, 5]),
        "refill_period": st.sampled_from([None, timedelta(days=1)]),
    }
)
owners = st.fixed_dictionaries(
    {"is_active": st.booleans(), "user_is_active": st.booleans(), "is_superuser": st.booleans(),
     "is_staff": st.booleans(), "has_user": st.booleans()}
)  # fmt: skip
_numbers = count()


def keys_of(owner: dict[str, bool], several: list[dict[str, Any]]) -> list[APIKey]:
    service_user = create_service_user(f"m{next(_numbers)}")
    users = get_user_model()._default_manager.filter(pk=service_user.user_id)
    rights = {name: owner[name] for name in ("is_staff", "is_superuser")}
    users.update(is_active=owner["user_is_active"], **rights)
    rows = ServiceUser.objects.filter(pk=service_user.pk)
    rows.update(is_active=owner["is_active"])
    if not owner["has_user"]:
        rows.update(user=None)
    given = [
        APIKey(service_user=service_user, digest=f"{next(_numbers):064x}", created_at=NOW, **row)
        for row in several
    ]
    return APIKey.objects.bulk_create(given)


@fewer(60)
@given(owner=owners, several=st.lists(rows, min_size=1, max_size=8))
def test_the_database_says_what_the_row_says(
    owner: dict[str, bool], several: list[dict[str, Any]]
) -> None:
    made = {key.pk for key in keys_of(owner, several)}
    keys = APIKey.objects.filter(pk__in=made).select_related("service_user__user")
    by_row = {key.pk: key.state(NOW) for key in keys}
    by_database = {
        key.pk: state
        for state in KeyState
        for key in APIKey.objects.filter(pk__in=made).in_state(state.value, NOW)
    }
    assert by_database == by_row


def test_a_user_model_without_those_columns_has_nobody_dead_by_them(
    monkeypatch: pytest.MonkeyPatch, service_user: ServiceUser
) -> None:
    """``AbstractBaseUser`` alone has neither ``is_superuser`` nor a column ``is_active``."""
    owner = {"is_active": True, "user_is_active": False, "is_superuser": True, "has_user": True,
             "is_staff": True}  # fmt: skip
    keys_of(owner, [{}])
    assert not APIKey.objects.in_state("active", NOW).exists()
    monkeypatch.setattr("pikku_auth.models.keys.get_user_model", lambda: Group)
    fields = {field.name for field in Group._meta.get_fields()}
    assert not fields & {"is_active", "is_staff", "is_superuser"}
    found = APIKey.objects.in_state("owner_inactive", NOW)
    assert "is_superuser" not in str(found.query)
    assert "is_staff" not in str(found.query)
    assert not APIKey.objects.in_state("owner_privileged", NOW).exists()
