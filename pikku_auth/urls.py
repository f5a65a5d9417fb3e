"""Where device login will be mounted: ``path("auth/", include("pikku_auth.urls"))``."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "pikku_auth"

urlpatterns: list[URLPattern] = []
