"""With the cache on, what holds without it holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis.stateful import run_state_machine_as_test

from pikku_auth.flows.cache.rows import find_by_digest
from pikku_auth.models import APIKey, ServiceUser
from tests.flows.test_life_cycle import LifeCycle
from tests.flows.test_lookup import COLUMNS, WITH_OWNER, by_the_orm, picture
from tests.profiles import fewer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.mark.hypothesis
def test_exactly_the_live_keys_are_accepted_whatever_is_done() -> None:
    chosen = fewer(20, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(LifeCycle, settings=chosen)


@given(columns=COLUMNS)
@fewer(50)
def test_a_row_is_what_the_orm_makes_of_it(
    service_user: ServiceUser, columns: dict[str, Any]
) -> None:
    digest = f"{APIKey.objects.count():064x}"
    APIKey.objects.create(digest=digest, service_user=service_user, **columns)
    by_orm = picture(by_the_orm(digest))
    for _ in range(4):  # it is met, read, and kept
        found = find_by_digest(APIKey, digest, *WITH_OWNER, using="default")
        assert picture(found) == by_orm
