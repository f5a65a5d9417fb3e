"""What docs/django.md shows, asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as configured
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from pikku_auth import checks
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import MayNot, NotYourServiceUser, Refused, TooManyAttempts
from pikku_auth.flows import IssuedKey
from pikku_auth.testing import key_headers
from tests.docs.pages import names_of, text_of

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _served(settings: Any) -> None:
    names = names_of("django.md", MIDDLEWARE=[*settings.MIDDLEWARE])
    settings.MIDDLEWARE = names["MIDDLEWARE"]
    settings.ROOT_URLCONF = (
        path("sync/", names["sandboxes"]),
        path("async/", names["sandboxes_too"]),
        path("class/", names["Sandboxes"].as_view()),
        names["password"],
        path("accounts/email/", lambda request: HttpResponse()),
        path("marked/", names["profile"]),
        path("webhook/", names["webhook"]),
        path("webhooks/vendor/", lambda request: HttpResponse()),
    )


@pytest.fixture
def own_middleware(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The page's subclass of ours, in its place."""
    names = names_of("django.md", MIDDLEWARE=[*configured.MIDDLEWARE])
    monkeypatch.setitem(globals(), "Credentials", names["Credentials"])
    ours = "pikku_auth.middleware.PikkuAuthMiddleware"
    settings.MIDDLEWARE = [
        f"{__name__}.Credentials" if name == ours else name for name in settings.MIDDLEWARE
    ]


def test_webhook_takes_a_key_of_another_system() -> None:
    foreign = {"x-api-key": "the-vendors-own"}
    assert Client(enforce_csrf_checks=True).post("/webhook/", headers=foreign).content == b"taken"
    assert Client().post("/webhooks/vendor/", headers=foreign).status_code == 401


def test_subclass_exempts_the_paths_of_a_package(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    names = names_of("django.md", MIDDLEWARE=[*configured.MIDDLEWARE])
    monkeypatch.setitem(globals(), "NotForWebhooks", names["NotForWebhooks"])
    ours = "pikku_auth.middleware.PikkuAuthMiddleware"
    settings.MIDDLEWARE = [
        f"{__name__}.NotForWebhooks" if name == ours else name for name in settings.MIDDLEWARE
    ]
    foreign = {"x-api-key": "the-vendors-own"}
    assert Client().post("/webhooks/vendor/", headers=foreign).status_code == 200
    assert Client().post("/webhook/", headers=foreign).status_code == 200


@pytest.fixture
def headers(mint: Mint) -> dict[str, str]:
    return key_headers(mint(scopes=["sandbox:read"]))


def test_the_middleware_is_where_the_check_wants_it() -> None:
    assert checks.check_host() == []


def test_the_middleware_refuses_before_any_view() -> None:
    answer = Client().get("/nowhere/", headers={"x-api-key": generate("pka").reveal()})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


@pytest.mark.parametrize("url", ["/sync/", "/async/", "/class/"])
def test_the_views_answer_their_caller(url: str, headers: dict[str, str]) -> None:
    assert "sandbox-runtime" in Client().get(url, headers=headers).json()["caller"]
    answer = async_to_sync(AsyncClient().get)(url, headers=headers)
    assert "sandbox-runtime" in answer.json()["caller"]


@pytest.mark.parametrize("url", ["/sync/", "/async/"])
def test_the_views_demand_their_scope(url: str, mint: Mint) -> None:
    answer = Client().get(url, headers=key_headers(mint()))
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


def test_the_class_accepts_a_post_without_a_csrf_token(headers: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/class/", headers=headers).status_code == 405


def test_the_password_page_is_for_browsers_only(headers: dict[str, str]) -> None:
    answer = Client().get("/password/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "browser_session_required")


def test_the_pages_of_a_package_are_open_to_a_key(headers: dict[str, str]) -> None:
    assert Client().get("/accounts/email/", headers=headers).status_code == 200


@pytest.mark.usefixtures("own_middleware")
def test_the_subclass_closes_the_pages_of_a_package(headers: dict[str, str]) -> None:
    assert Client().get("/accounts/email/", headers=headers).status_code == 403
    assert Client().get("/accounts/email/").status_code == 200


def test_the_marked_view_sees_any_key(mint: Mint) -> None:
    answer = Client().get("/marked/", headers=key_headers(mint()))
    assert "sandbox-runtime" in answer.json()["user"]


def test_each_code_of_a_refusal_is_in_the_table() -> None:
    told = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text_of("django.md"), re.MULTILINE)
    of_endpoints = {TooManyAttempts, MayNot, NotYourServiceUser}  # of ours alone
    refusals = set(Refused.__subclasses__()) - of_endpoints
    assert {(int(status), code) for status, code in told} == {
        (refusal.status, refusal.code) for refusal in refusals
    }
    assert len(told) == len(refusals)
