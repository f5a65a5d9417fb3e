"""One view for each integration, all saying the same, once open to all scopes and once for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth
from pikku_auth.decorators import any_key, require_principal
from pikku_auth.principal import Principal
from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from tests.integrations.decision import told_of

WANTED = "sandbox:write"


@any_key
class ForAll(APIView):
    """The integration of REST framework, in either order that the documentation allows."""

    authentication_classes: ClassVar = [PikkuAuthentication, SessionAuthentication]
    permission_classes: ClassVar[list[Any]] = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response(told_of(request.auth if isinstance(request.auth, Principal) else None))


class ForPeople(APIView):
    """Demands no scope, and says nothing of keys."""

    authentication_classes = ForAll.authentication_classes
    permission_classes: ClassVar[list[Any]] = [IsAuthenticated]
    get = ForAll.get


class ForOneScope(ForAll):
    permission_classes: ClassVar[list[Any]] = [HasScope]
    required_scopes: ClassVar = [WANTED]


@any_key
def known(request: Any) -> JsonResponse:
    """Behind the middleware."""
    return JsonResponse(told_of(request.principal))


@any_key
async def aknown(request: Any) -> JsonResponse:
    return known(request)


def unmarked(request: Any) -> JsonResponse:
    return JsonResponse(told_of(request.principal))


async def aunmarked(request: Any) -> JsonResponse:
    return unmarked(request)


@require_principal
def wanted(request: HttpRequest) -> JsonResponse:
    return known(request)


@require_principal
async def awanted(request: HttpRequest) -> JsonResponse:
    return known(request)


@require_principal(scopes=[WANTED])
def with_scope(request: HttpRequest) -> JsonResponse:
    return known(request)


@require_principal(scopes=[WANTED])
async def awith_scope(request: HttpRequest) -> JsonResponse:
    return known(request)


def ninja_api(scopes: Sequence[str] | None) -> PikkuNinjaAPI:
    """The integration of django-ninja, for sync and for async operations."""
    api = PikkuNinjaAPI(auth=PikkuNinjaAuth(scopes=scopes), urls_namespace=f"integrations {scopes}")

    @api.get("sync/")
    def told(request: Any) -> dict[str, Any]:
        return told_of(request.auth)

    @api.get("async/")
    async def atold(request: Any) -> dict[str, Any]:
        return told_of(request.auth)

    @api.get("marked/")
    @any_key
    def marked(request: Any) -> dict[str, Any]:
        return told_of(request.auth)

    return api


class Telling(AsyncJsonWebsocketConsumer):
    """Says it over a WebSocket."""

    channel_layer_alias = "none of its own"

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(told_of(self.scope["principal"]))


assert all(iscoroutinefunction(view) for view in (aknown, awanted, awith_scope))

urlpatterns = [
    path(".well-known/", include("pikku_auth.well_known")),
    path("drf/", ForAll.as_view()),
    path("drf/scoped/", ForOneScope.as_view()),
    path("drf/people/", ForPeople.as_view()),
    path("drf/people/marked/", any_key(ForPeople.as_view())),
    path("unmarked/", unmarked),
    path("aunmarked/", aunmarked),
    path("known/", known),
    path("aknown/", aknown),
    path("wanted/", wanted),
    path("wanted/scoped/", with_scope),
    path("awanted/", awanted),
    path("awanted/scoped/", awith_scope),
    path("ninja/", ninja_api([]).urls),
    path("ninja/scoped/", ninja_api([WANTED]).urls),
    path("ninja/people/", ninja_api(None).urls),
]
