"""The system checks of what ninja serves."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.urls import include, path
from ninja import NinjaAPI, Router
from ninja.security import django_auth

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from pikku_auth.contrib.ninja.checks import check_apis

pytestmark = pytest.mark.django_db

FIRST, SECOND = [PikkuNinjaAuth(), django_auth], [django_auth, PikkuNinjaAuth()]


def told(request: Any) -> None:
    raise NotImplementedError


async def atold(request: Any) -> None:
    raise NotImplementedError


def found(settings: Any, *patterns: Any) -> list[CheckMessage]:
    """What the checks say of a URLconf."""
    settings.ROOT_URLCONF = tuple(patterns)
    ids = {"pikku_auth.E011", "pikku_auth.W012"}
    return [message for message in run_checks() if message.id in ids]


class TestTheOrder:
    """A class before ours would answer for a caller whose key is bad."""

    def test_ours_first_is_right(self, settings: Any) -> None:
        api = PikkuNinjaAPI(auth=FIRST, urls_namespace="first")
        api.get("/")(told)
        api.get("/alone", auth=PikkuNinjaAuth())(told)
        api.get("/open", auth=None)(told)
        api.get("/theirs", auth=django_auth)(told)
        assert found(settings, path("", api.urls)) == []

    @pytest.mark.parametrize("operation", [told, atold])
    def test_another_first_is_an_error_that_names_the_operation(
        self, settings: Any, operation: Any
    ) -> None:
        api = PikkuNinjaAPI(urls_namespace=f"second {operation.__name__}")
        api.get("/", auth=SECOND)(operation)
        (message,) = found(settings, path("", api.urls))
        assert message.id == "pikku_auth.E011"
        assert f"tests.ninja.test_checks.{operation.__name__}" in message.msg
        assert message.hint == "auth=[PikkuNinjaAuth(…), …]"

    def test_each_operation_of_a_path_is_named_once(self, settings: Any) -> None:
        api = PikkuNinjaAPI(auth=SECOND, urls_namespace="many")
        api.get("/")(told)
        api.post("/")(atold)
        assert len(found(settings, path("", api.urls))) == 2

    def test_it_holds_for_what_a_router_inherits(self, settings: Any) -> None:
        api, router, nested = PikkuNinjaAPI(urls_namespace="routers"), Router(), Router()
        nested.get("/")(told)
        router.add_router("/nested", nested)
        api.add_router("/router", router, auth=SECOND)
        (message,) = found(settings, path("deep/", include([path("", api.urls)])))
        assert message.id == "pikku_auth.E011"

    def test_it_holds_behind_a_decorator(self, settings: Any) -> None:
        api = PikkuNinjaAPI(auth=SECOND, urls_namespace="decorated")
        api.get("/")(told)
        patterns: Any = api.urls[0]
        for pattern in patterns:
            pattern.callback = wraps(pattern.callback)(lambda request: None)
        assert len(found(settings, path("", include(patterns)))) == 1


class TestTheApi:
    """Ninja's own has no headers."""

    def test_one_of_ninjas_own_is_a_warning_once(self, settings: Any) -> None:
        api = NinjaAPI(auth=PikkuNinjaAuth(), urls_namespace="own")
        api.get("/")(told)
        api.get("/more")(atold)
        (message,) = found(settings, path("", api.urls))
        assert message.id == "pikku_auth.W012"
        assert "tests.ninja.test_checks.told" in message.msg
        assert "PikkuNinjaAPI" in str(message.hint)

    def test_one_that_pikku_auth_does_not_guard_is_nobodys_business(self, settings: Any) -> None:
        api = NinjaAPI(auth=django_auth, urls_namespace="theirs")
        api.get("/")(told)
        assert found(settings, path("", api.urls)) == []


def test_a_host_without_urls_hears_nothing(settings: Any) -> None:
    del settings.ROOT_URLCONF
    assert check_apis() == []
