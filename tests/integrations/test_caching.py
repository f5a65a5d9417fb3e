"""What one caller is answered goes to nobody else, though the host caches whole pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pikku_auth.flows import IssuedKey
from tests.integrations.decision import BAD_KEY, NOBODY
from tests.integrations.test_one_decision import (
    key_decision,
    key_header,
    login_decision,
    login_header,
)
from tests.integrations.ways_in import HTTP_INTEGRATIONS
from tests.logins import logged_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("integration", HTTP_INTEGRATIONS)
def test_a_cached_answer_goes_to_its_caller_alone(
    integration: str, mint: Callable[..., IssuedKey], make_user: Callable[..., Any], settings: Any
) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    ask = HTTP_INTEGRATIONS[integration]
    first, second = mint(scopes=["sandbox:read"]), mint(scopes=["sandbox:write"])
    login = logged_in(make_user("ada"))
    assert ask([key_header(first)]) == key_decision(first)
    assert ask([key_header(second)]) == key_decision(second)
    assert ask([login_header(login)]) == login_decision(login)
    assert ask([("x-api-key", "nonsense")]) == BAD_KEY
    assert ask([]) == NOBODY
