"""Views of a host without REST framework."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View

from pikku_auth.decorators import any_key, credentials_exempt, require_principal


def _told(request: Any) -> JsonResponse:
    principal = getattr(request, "principal", None)
    user = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": user, "via": principal and principal.via})


@any_key
def whoami(request: HttpRequest) -> JsonResponse:
    return _told(request)


@any_key
async def awhoami(request: HttpRequest) -> JsonResponse:
    user: Any = await request.auser()
    name = user.get_username() if user.is_authenticated else None
    principal: Any = getattr(request, "principal", None)
    return JsonResponse({"user": name, "via": principal and principal.via})


@credentials_exempt
def webhook(request: HttpRequest) -> JsonResponse:
    return _told(request)


@credentials_exempt
async def awebhook(request: HttpRequest) -> JsonResponse:
    return await awhoami(request)


@method_decorator(credentials_exempt, name="dispatch")
class Webhook(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return _told(request)


@require_principal
def anybody(request: HttpRequest) -> JsonResponse:
    """Any key or login."""
    return _told(request)


@require_principal(scopes=["sandbox:write"])
def writer(request: HttpRequest) -> JsonResponse:
    return _told(request)


@require_principal(scopes=["sandbox:write"])
async def awriter(request: HttpRequest) -> JsonResponse:
    return await awhoami(request)


@require_principal(scopes=["sandbox:write"])
class Writer(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return _told(request)

    post = get


@require_principal(scopes=["sandbox:write"])
class Base(View):
    """What others inherit from, sync and async."""


class Child(Base):
    def get(self, request: HttpRequest) -> JsonResponse:
        return _told(request)


class AsyncChild(Base):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return await awhoami(request)


people_counted: list[int] = []


def count_people(request: HttpRequest) -> dict[str, Any]:
    """A context processor that asks the database."""
    people_counted.append(get_user_model()._default_manager.count())
    return {}


def writes(request: HttpRequest) -> Any:
    """What has written before it asks who is there."""
    get_user_model()._default_manager.create(**{get_user_model().USERNAME_FIELD: "by a refusal"})
    return anybody(request)


@require_principal(scopes=["sandbox:write"])
class AsyncWriter(View):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return await awhoami(request)

    post = get
