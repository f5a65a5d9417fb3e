"""The order of ``MIDDLEWARE``: what other middleware does, before ours and behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as configured
from django.http import HttpRequest, JsonResponse
from django.urls import path

from pikku_auth.checks import check_host
from pikku_auth.decorators import any_key
from pikku_auth.flows import IssuedKey
from pikku_auth.middleware import PikkuAuthMiddleware
from tests.logins import bearer, browser_of, logged_in
from tests.plain_django import neighbours
from tests.plain_django.conftest import Ask
from tests.plain_django.neighbours import NEITHER, READ, SET

Mint = Callable[..., IssuedKey]
OURS = "pikku_auth.middleware.PikkuAuthMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
HERE = neighbours.__name__
# Those that log somebody in or out act on the session first, and end in an error or don't.
ACT_FIRST = ("RemoteUser", "LogsIn")
ASSIGN = [name for name in SET if name.startswith(HERE) and not name.endswith(ACT_FIRST)]


class OurOwn(PikkuAuthMiddleware):
    """A host's subclass."""


def found() -> list[tuple[str, str]]:
    return [(str(message.id), message.msg.partition(" ")[0]) for message in check_host()]


class TestTheCheck:
    @pytest.mark.parametrize("ours", [OURS, f"{__name__}.OurOwn"])
    @pytest.mark.parametrize("name", SET)
    def test_what_sets_the_user_belongs_before_ours(
        self, settings: Any, name: str, ours: str
    ) -> None:
        settings.MIDDLEWARE = [AUTHENTICATION, ours, name]
        assert found() == [("pikku_auth.E010", name)]
        settings.MIDDLEWARE = [AUTHENTICATION, name, ours]
        assert found() == []

    @pytest.mark.parametrize("name", READ)
    def test_what_reads_the_user_belongs_behind_ours(self, settings: Any, name: str) -> None:
        settings.MIDDLEWARE = [AUTHENTICATION, name, OURS]
        assert found() == [("pikku_auth.W017", name)]
        settings.MIDDLEWARE = [AUTHENTICATION, OURS, name]
        assert found() == []

    @pytest.mark.parametrize("name", NEITHER)
    def test_what_does_neither_may_stand_anywhere(self, settings: Any, name: str) -> None:
        settings.MIDDLEWARE = [AUTHENTICATION, name, OURS, name]
        assert found() == []

    @pytest.mark.parametrize("name", [*SET, *READ])
    def test_without_ours_the_order_is_the_hosts_affair(self, settings: Any, name: str) -> None:
        settings.MIDDLEWARE = [name, AUTHENTICATION]
        assert found() == []

    def test_middleware_that_has_no_source_or_is_not_there_is_passed_over(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exec("def made_by_exec(get_response): ...", neighbours.__dict__)  # noqa: S102
        monkeypatch.delitem(neighbours.__dict__, "__builtins__")
        settings.MIDDLEWARE = [AUTHENTICATION, OURS, f"{HERE}.made_by_exec", "no.such.Middleware"]
        assert found() == []
        monkeypatch.delattr(neighbours, "made_by_exec")

    def test_the_hints_say_where_ours_goes(self, settings: Any) -> None:
        settings.MIDDLEWARE = [AUTHENTICATION, READ[0], OURS, SET[1]]
        late, early = check_host()
        assert late.hint == f"In MIDDLEWARE, list '{OURS}' after '{SET[1]}'."
        assert str(early.hint).startswith(f"In MIDDLEWARE, list '{OURS}' before '{READ[0]}', ")


@any_key
def who(request: Any) -> JsonResponse:
    principal = request.principal
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "principal": principal and principal.user.get_username(),
            "may": request.user.has_perm("auth.delete_user"),
            "profile": getattr(request, "profile", ""),
        }
    )


def unmarked(request: Any) -> JsonResponse:
    return who(request)


@any_key
async def awho(request: HttpRequest) -> JsonResponse:
    told = await sync_to_async(who)(request)
    user: Any = await request.auser()
    assert user.get_username() == json.loads(told.content)["user"]
    return told


@pytest.mark.django_db
class TestTheRequest:
    @pytest.fixture(autouse=True)
    def _served(self, ask: Ask, settings: Any) -> None:
        settings.ROOT_URLCONF = (path("who/", who), path("awho/", awho))

    @pytest.fixture
    def boss(self, make_user: Any) -> Any:
        """Whose session the browser has."""
        return make_user("boss", is_superuser=True)

    def listed(self, settings: Any, *behind: str) -> None:
        others = [name for name in configured.MIDDLEWARE if "Csrf" not in name]
        settings.MIDDLEWARE = [*others, OURS, *behind]

    @pytest.mark.parametrize("name", ASSIGN)
    def test_what_comes_behind_ours_does_not_change_the_caller(
        self, ask: Ask, settings: Any, mint: Mint, boss: Any, make_user: Any, name: str
    ) -> None:
        self.listed(settings, name)
        cookies, login = browser_of(boss).cookies, logged_in(make_user("ada"))
        (token,) = bearer(login).values()
        headers = [{"x_api_key": mint().secret.reveal()}, {"authorization": token}]
        for given in headers:
            for url in ("/who/", "/awho/"):
                told = ask(url, cookies=cookies, **given).json()
                assert told["user"] == told["principal"] != boss.get_username()
                assert told["may"] is False

    @pytest.mark.parametrize("name", ASSIGN)
    def test_a_session_without_a_credential_is_as_the_others_have_it(
        self, ask: Ask, settings: Any, boss: Any, name: str
    ) -> None:
        self.listed(settings, name)
        told = ask("/who/", cookies=browser_of(boss).cookies).json()
        assert (told["user"], told["principal"]) == (boss.get_username(), None)

    def test_what_reads_the_user_behind_ours_sees_the_caller(
        self, ask: Ask, settings: Any, mint: Mint, boss: Any
    ) -> None:
        self.listed(settings, READ[0])
        key = mint().secret.reveal()
        told = ask("/who/", cookies=browser_of(boss).cookies, x_api_key=key).json()
        assert told["profile"] == f"profile of {told['principal']}"

    def test_view_of_urls_that_are_chosen_behind_ours_goes_by_its_own_mark(
        self, ask: Ask, settings: Any, mint: Mint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chosen = (path("chosen/", who), path("closed/", unmarked))
        monkeypatch.setattr(neighbours.ChoosesURLs, "URLS", chosen)
        self.listed(settings, f"{HERE}.ChoosesURLs")
        key = mint().secret.reveal()
        told = ask("/chosen/", x_api_key=key).json()
        assert told["user"] == told["principal"] is not None
        told = ask("/closed/", x_api_key=key).json()
        assert (told["user"], told["principal"]) == ("", None)
