"""A site with its metadata."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path(".well-known/", include("pikku_auth.well_known")),
    path("", include("example_project.urls")),
]
