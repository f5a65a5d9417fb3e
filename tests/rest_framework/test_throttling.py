"""Throttles by key and by service user."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from pikku_auth.decorators import any_key
from pikku_auth.flows import IssuedKey
from pikku_auth.rest_framework import (
    KeyRateThrottle,
    PikkuAuthentication,
    ServiceUserRateThrottle,
)
from pikku_auth.testing import mint_test_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"api_key": "1/day", "service_user": "2/day"}
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates)


def ask(throttle: type[SimpleRateThrottle], issued: IssuedKey | None) -> int:
    @any_key
    class View(APIView):
        authentication_classes = [PikkuAuthentication]
        permission_classes: Any = []
        throttle_classes = [throttle]

        def get(self, request: Request) -> Response:
            return Response()

    headers = {"x-api-key": issued.secret.reveal()} if issued else {}
    return View.as_view()(APIRequestFactory().get("/", headers=headers)).status_code


def test_each_key_has_a_bucket_of_its_own() -> None:
    first, second = mint_test_key(), mint_test_key()
    assert [ask(KeyRateThrottle, first), ask(KeyRateThrottle, first)] == [200, 429]
    assert ask(KeyRateThrottle, second) == 200


def test_the_keys_of_a_service_user_share_a_bucket() -> None:
    first, second, other = mint_test_key(), mint_test_key(), mint_test_key(service="builder")
    assert [ask(ServiceUserRateThrottle, key) for key in (first, second, first)] == [200, 200, 429]
    assert ask(ServiceUserRateThrottle, other) == 200


@pytest.mark.parametrize("throttle", [KeyRateThrottle, ServiceUserRateThrottle])
def test_callers_without_a_key_are_not_throttled(throttle: type[SimpleRateThrottle]) -> None:
    assert [ask(throttle, None) for _ in range(3)] == [200, 200, 200]
