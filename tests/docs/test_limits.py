"""What docs/limits.md shows, run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pikku_auth.core.limits import Rate
from pikku_auth.models import APIKey, ServiceUser
from tests.docs.pages import names_of


@pytest.mark.django_db
def test_each_key_has_the_limit_that_it_was_minted_with(service_user: ServiceUser) -> None:
    names_of("limits.md", service_user=service_user)
    rated, counted, at_home = APIKey.objects.order_by("pk")
    assert rated.rate == Rate(100, timedelta(minutes=1))
    assert (counted.remaining, counted.refill) == (1000, Rate(1000, timedelta(days=1)))
    assert at_home.networks == ["192.0.2.0/24", "2001:db8::/32"]
