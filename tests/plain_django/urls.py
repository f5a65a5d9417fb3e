"""URLs of a host without REST framework."""

from __future__ import annotations

from django.urls import include, path

from tests.plain_django import views

urlpatterns = [
    path("whoami/", views.whoami),
    path("awhoami/", views.awhoami),
    path("webhook/", views.webhook),
    path("awebhook/", views.awebhook),
    path("webhook-class/", views.Webhook.as_view()),
    path("anybody/", views.anybody),
    path("writer/", views.writer),
    path("awriter/", views.awriter),
    path("class/", views.Writer.as_view()),
    path("aclass/", views.AsyncWriter.as_view()),
    path("child/", views.Child.as_view()),
    path("achild/", views.AsyncChild.as_view()),
    path("writes/", views.writes),
    path("auth/", include("pikku_auth.urls")),
    path("", include("example_project.urls")),
]
