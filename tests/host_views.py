"""Views that a host might have, each as plain as it can be."""

from __future__ import annotations

from typing import ClassVar

from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.exceptions import NotAcceptable
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication

from pikku_auth.decorators import any_key
from pikku_auth.rest_framework import PikkuAuthentication


class Crash(Exception):
    """What a view may die of."""


@any_key
class WhoAmI(APIView):
    """Says who calls, beside every class that a host is likely to have."""

    authentication_classes: ClassVar = [
        PikkuAuthentication,
        SessionAuthentication,
        TokenAuthentication,
        JWTAuthentication,
    ]
    permission_classes: ClassVar = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"user": str(request.user.pk), "auth": type(request.auth).__name__})

    post = get


class Public(WhoAmI):
    """Open to all: whoever has no credential is anonymous."""

    permission_classes: ClassVar = [AllowAny]


class Failing(WhoAmI):
    """Dies in the middle."""

    def get(self, request: Request) -> Response:
        raise Crash


class Refusing(WhoAmI):
    """Answers with an error of its own, for which DRF rolls a transaction back."""

    def get(self, request: Request) -> Response:
        raise NotAcceptable
