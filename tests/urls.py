"""The example's URLs, and the tests' own views."""

from __future__ import annotations

from django.urls import include, path

from tests import views

urlpatterns = [
    path("", include("example_project.urls")),
    path("test/whoami/", views.WhoAmI.as_view()),
    path("test/public/", views.Public.as_view()),
    path("test/failing/", views.Failing.as_view()),
    path("test/refusing/", views.Refusing.as_view()),
]
