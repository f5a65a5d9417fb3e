"""The example's URLs, and the tests' own views."""

from __future__ import annotations

from django.urls import include, path

from tests import host_views
from tests.admin.own_site import machines, operations

urlpatterns = [
    path("", include("example_project.urls")),
    path("i18n/", include("django.conf.urls.i18n")),  # wanted by a theme of the admin
    path("operations/", operations.urls),
    path("machines/", machines.urls),
    path("test/whoami/", host_views.WhoAmI.as_view()),
    path("test/public/", host_views.Public.as_view()),
    path("test/failing/", host_views.Failing.as_view()),
    path("test/refusing/", host_views.Refusing.as_view()),
]
