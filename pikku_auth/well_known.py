"""``path(".well-known/", include("pikku_auth.well_known"))``: metadata that clients look for.

Mount it at the root of the site. Where ``ISSUER`` has a path, that comes behind the names below
(RFC 8414, 3.1; RFC 9728, 3.1).
"""

from __future__ import annotations

from django.urls import path

from pikku_auth.http.issuer import PROTECTED_RESOURCE, WELL_KNOWN
from pikku_auth.views.metadata import authorization_server, protected_resource

app_name = WELL_KNOWN

urlpatterns = [
    path("oauth-authorization-server", authorization_server, name="authorization_server"),
    path("oauth-authorization-server/<path:of>", authorization_server),
    path(PROTECTED_RESOURCE, protected_resource, name="protected_resource"),
    path(f"{PROTECTED_RESOURCE}/<path:of>", protected_resource),
]
