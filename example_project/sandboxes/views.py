"""The API."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListCreateAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from example_project.sandboxes.models import Sandbox
from pikku_auth.principal import Principal
from pikku_auth.rest_framework import HasScope


class WhoAmISerializer(serializers.Serializer[object]):
    """Who the caller is, and what its credential allows."""

    user = serializers.CharField()
    via = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())


class WhoAmI(APIView):
    """Tell the caller who it is: any machine, and any person signed in to the site."""

    permission_classes = [IsAuthenticated]

    @extend_schema(responses=WhoAmISerializer)
    def get(self, request: Request) -> Response:
        """Who is calling."""
        answer = {"user": request.user.get_username(), "via": "session", "scopes": []}
        if isinstance(request.auth, Principal):
            answer |= {"via": request.auth.via, "scopes": request.auth.scopes}
        return Response(answer)


class SandboxSerializer(serializers.ModelSerializer[Sandbox]):
    """A sandbox."""

    class Meta:
        model = Sandbox
        fields = ["id", "name", "created_at"]


class Sandboxes(ListCreateAPIView[Sandbox]):
    """The sandboxes. Only a credential with the scope may look, or make one."""

    queryset = Sandbox.objects.all()
    serializer_class = SandboxSerializer
    permission_classes = [HasScope]
    required_scopes: ClassVar = {"GET": ["sandbox:read"], "POST": ["sandbox:write"]}

    def perform_create(self, serializer: serializers.BaseSerializer[Sandbox]) -> None:
        """Remember whose sandbox it is: a machine is a user like any other."""
        serializer.save(created_by=self.request.user)
