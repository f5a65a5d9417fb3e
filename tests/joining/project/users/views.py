"""The API, and a page."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin, UpdateModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from users.models import User


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "name"]


class UserViewSet(RetrieveModelMixin, ListModelMixin, UpdateModelMixin, GenericViewSet):
    serializer_class = UserSerializer
    queryset = User.objects.order_by("pk")

    def get_queryset(self):
        return self.queryset.filter(pk=self.request.user.pk)

    @action(detail=False)
    def me(self, request):
        return Response(UserSerializer(request.user).data)


class Health(APIView):
    permission_classes = [AllowAny]

    def get(self, request):
        return Response({"ok": True})


@login_required
def profile(request):
    return HttpResponse(request.user.email)
