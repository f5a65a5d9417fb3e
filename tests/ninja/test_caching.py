"""A cache never serves one caller's answer to another."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_page
from ninja import NinjaAPI, Router
from ninja.decorators import decorate_view
from ninja.security import django_auth

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.logins import browser_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
CACHING = (
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
)


def say(request: Any) -> str:
    return str(request.user)


def say_whole(request: Any) -> HttpResponse:
    return HttpResponse(str(request.user))


@decorate_view(cache_page(60))
def say_cached(request: Any) -> str:
    return str(request.user)


def die(request: Any) -> None:
    raise ValueError


router = Router()
router.get("")(say)


def api_of(kind: type[NinjaAPI], **options: Any) -> NinjaAPI:
    api = kind(auth=[PikkuNinjaAuth(scopes=[]), django_auth], **options)
    api.get("said")(say)
    api.get("whole")(say_whole)
    api.get("cached")(say_cached)
    api.get("dead")(die)
    api.get("open", auth=None)(say)

    @api.exception_handler(ValueError)
    def handled(request: Any, error: Any) -> HttpResponse:
        return HttpResponse("It died.")

    return api


ours = api_of(PikkuNinjaAPI, urls_namespace="caching ours")
ours.add_router("router", router)
theirs = api_of(NinjaAPI, urls_namespace="caching theirs")

urlpatterns = [path("ours/", ours.urls), path("theirs/", theirs.urls)]


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


def varies(answer: Any) -> set[str]:
    return set(re.split(", *", answer.get("Vary", "")))


@pytest.mark.parametrize("url", ["said", "whole", "cached", "dead", "router"])
def test_every_answer_varies_by_both_headers(url: str, mint: Mint) -> None:
    answer = Client().get(f"/ours/{url}", headers=key_headers(mint()))
    assert answer.status_code == 200
    assert {"x-api-key", "Authorization"} <= varies(answer)


def test_so_does_one_to_whom_the_next_auth_lets_in(make_user: Callable[..., Any]) -> None:
    answer = browser_of(make_user()).get("/ours/said")
    assert answer.status_code == 200
    assert {"x-api-key", "Authorization"} <= varies(answer)


def test_an_operation_that_is_open_to_all_does_not(mint: Mint) -> None:
    assert "x-api-key" not in varies(Client().get("/ours/open", headers=key_headers(mint())))


@pytest.mark.parametrize("url", ["said", "whole", "cached"])
@pytest.mark.parametrize("api", ["ours", "theirs"])
def test_the_answer_to_one_goes_to_nobody_else(
    api: str, url: str, mint: Mint, settings: Any, make_user: Callable[..., Any]
) -> None:
    settings.MIDDLEWARE = [CACHING[0], *settings.MIDDLEWARE, CACHING[1]]
    first = mint()
    url = f"/{api}/{url}"
    assert Client().get(url, headers=key_headers(first)).status_code == 200
    ada = browser_of(make_user("ada"))
    assert "ada" in ada.get(url).content.decode()
    assert Client().get(url, headers={"x-api-key": "nonsense"}).status_code == 401
    assert Client().get(url).status_code == 401


def test_what_is_open_to_all_is_cached_as_ever(settings: Any) -> None:
    settings.MIDDLEWARE = [CACHING[0], *settings.MIDDLEWARE, CACHING[1]]
    assert "max-age" in Client().get("/ours/open").get("Cache-Control", "")
