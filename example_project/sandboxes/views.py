"""The API."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.generics import GenericAPIView, ListCreateAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from example_project.sandboxes.callers import (
    home_of,
    organisation_of,
    organisations_of,
    sandboxes_of,
)
from example_project.sandboxes.models import Organisation, Sandbox
from pikku_auth.decorators import any_key, require_principal
from pikku_auth.principal import Principal
from pikku_auth.rest_framework import HasScope


class WhoAmISerializer(serializers.Serializer[object]):
    """Who the caller is, and what its credential allows."""

    user = serializers.CharField()
    via = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    organisation = serializers.IntegerField(
        required=False, help_text="The organisation of a sandbox's key; no other caller has one."
    )


@any_key
class WhoAmI(GenericAPIView[Any]):
    """Tell the caller who it is: any machine, and any person signed in to the site."""

    serializer_class = WhoAmISerializer
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        """Who is calling."""
        answer: dict[str, Any] = {
            "user": request.user.get_username(),
            "via": "session",
            "scopes": [],
        }
        if isinstance(request.auth, Principal):
            answer |= {"via": request.auth.via, "scopes": request.auth.scopes}
        if (organisation := organisation_of(request.auth)) is not None:
            answer |= {"organisation": organisation}
        return Response(answer)


class OrganisationField(serializers.PrimaryKeyRelatedField[Organisation]):
    """An organisation that the caller may know of; any other does not exist for it."""

    def get_queryset(self) -> QuerySet[Organisation]:
        return organisations_of(self.context["request"].auth)


class SandboxSerializer(serializers.ModelSerializer[Sandbox]):
    """A sandbox."""

    organisation = OrganisationField(
        queryset=Organisation.objects.all(),
        required=False,
        help_text="Left out: the caller's own, or the default one.",
    )

    class Meta:
        model = Sandbox
        fields = ["id", "name", "organisation", "status", "created_at"]
        read_only_fields = ["status"]


class Sandboxes(ListCreateAPIView[Sandbox]):
    """The sandboxes. Only a credential with the scope may look, or make one.

    A sandbox's own key sees those of its organisation, and makes them there.
    """

    queryset = Sandbox.objects.all()
    serializer_class = SandboxSerializer
    permission_classes = [HasScope]
    required_scopes: ClassVar = {"GET": ["sandbox:read"], "POST": ["sandbox:write"]}

    def get_queryset(self) -> QuerySet[Sandbox]:
        """What the caller may see, decided for each request."""
        return sandboxes_of(self.request.auth)

    def perform_create(self, serializer: serializers.BaseSerializer[Sandbox]) -> None:
        """Remember whose sandbox it is: a machine is a user like any other."""
        organisation = serializer.validated_data.get("organisation")
        serializer.save(
            created_by=self.request.user,
            organisation=organisation or home_of(self.request.auth),
        )


@require_principal(scopes=["sandbox:read"])
def sandbox_status(request: HttpRequest, pk: int) -> JsonResponse:
    """Whether one sandbox runs: a plain Django view, with the rules of the API."""
    caller = request.principal  # type: ignore[attr-defined]  # set by the decorator
    sandbox = get_object_or_404(sandboxes_of(caller), pk=pk)
    return JsonResponse({"id": sandbox.pk, "status": sandbox.status})
