"""Our screens and endpoints, and a view of each kind."""

from __future__ import annotations

from django.contrib import admin
from django.http import JsonResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from pikku_auth.decorators import require_principal
from pikku_auth.rest_framework import HasScope


class Who(APIView):
    """Who calls a view of REST framework."""

    permission_classes = [HasScope("a:b")]

    def get(self, request):
        return Response({"who": str(request.user.get_username()), "by": str(request.principal)})


@require_principal(scopes=["a:b"])
def plain(request):
    return JsonResponse({"who": str(request.user.get_username()), "by": str(request.principal)})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("pikku_auth.urls")),
    path("api/who", Who.as_view()),
    path("plain", plain),
]
