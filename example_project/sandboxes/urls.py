"""The API's URLs."""

from __future__ import annotations

from django.urls import path

from example_project.sandboxes.views import Sandboxes, WhoAmI, sandbox_status

urlpatterns = [
    path("whoami/", WhoAmI.as_view(), name="whoami"),
    path("sandboxes/", Sandboxes.as_view(), name="sandboxes"),
    path("sandboxes/<int:pk>/status/", sandbox_status, name="sandbox-status"),
]
