"""REST framework and plain Django, by documented names only."""

from __future__ import annotations

from typing import assert_type

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views import View
from rest_framework.decorators import action, api_view, permission_classes, throttle_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from pikku_auth.decorators import PrincipalRequest, require_principal
from pikku_auth.middleware import OptionalPrincipalRequest, PikkuAuthMiddleware
from pikku_auth.principal import Principal
from pikku_auth.rest_framework import (
    HasScope,
    KeyRateThrottle,
    PikkuAuthentication,
    ServiceUserRateThrottle,
)


class Sandboxes(APIView):
    authentication_classes = [PikkuAuthentication]
    permission_classes = [HasScope("sandbox:read", "sandbox:write")]
    throttle_classes = [KeyRateThrottle, ServiceUserRateThrottle]

    def get(self, request: Request) -> Response:
        principal = request.auth
        assert isinstance(principal, Principal)
        assert_type(principal.user, User)
        return Response({"caller": principal.user.get_username(), "scopes": principal.scopes})


class Composed(APIView):
    permission_classes = [
        HasScope("a:b") & HasScope("c:d"),
        IsAuthenticated & (HasScope("a:b") | IsAdminUser),
        IsAdminUser | HasScope("a:b"),
        ~HasScope("a:b"),
    ]


class Restartable(ViewSet):
    permission_classes = [HasScope]
    required_scopes = {"GET": ["sandbox:read"], "restart": ["sandbox:operate"]}

    @action(detail=True, methods=["post"], permission_classes=[HasScope("sandbox:operate")])
    def restart(self, request: Request, pk: str) -> Response:
        return Response({"restarted": pk})


class Subclassed(HasScope):
    scopes = ("sandbox:read",)


@api_view(["GET", "POST"])
@throttle_classes([KeyRateThrottle])
@permission_classes([IsAuthenticated, HasScope("sandbox:read")])
def sandboxes(request: Request) -> Response:
    if isinstance(request.auth, Principal) and request.auth.has_scope("sandbox:write"):
        return Response(request.auth.claims)
    return Response({"caller": request.user.get_username()})


@require_principal(scopes=["sandbox:read"])
def plain(request: PrincipalRequest, name: str) -> HttpResponse:
    assert_type(request.principal, Principal)
    assert_type(request.user, User)
    return JsonResponse({"caller": request.user.email, "may": request.user.has_perm("a.b")})


@require_principal
async def asynchronous(request: PrincipalRequest) -> HttpResponse:
    assert_type(await request.auser(), User)
    service_user = request.principal.service_user
    return HttpResponse(service_user.name if service_user else request.principal.via)


@require_principal(scopes=["sandbox:read"])
class OfAClass(View):
    request: PrincipalRequest

    def get(self, request: PrincipalRequest) -> HttpResponse:
        return HttpResponse(self.request.principal.user.get_full_name())


@require_principal
class Asynchronous(View):
    async def get(self, request: PrincipalRequest) -> HttpResponse:
        return HttpResponse(", ".join(request.principal.scopes))


def with_the_middleware(request: OptionalPrincipalRequest) -> HttpResponse:
    assert_type(request.principal, Principal | None)
    return HttpResponse(request.principal.via if request.principal else "nobody")


def respond(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


middleware = PikkuAuthMiddleware(respond)

urlpatterns = [
    path("auth/", include("pikku_auth.urls")),
    path("sandboxes/", Sandboxes.as_view()),
    path("sandboxes-too/", sandboxes),
    path("plain/<str:name>/", plain),
    path("asynchronous/", asynchronous),
    path("class/", OfAClass.as_view()),
    path("asynchronous-class/", Asynchronous.as_view()),
    path("middleware/", with_the_middleware),
]
