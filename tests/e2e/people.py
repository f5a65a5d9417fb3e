"""Who uses the site: two superusers, and staff who may do less."""

from __future__ import annotations

from tests.e2e.steps import PASSWORD

SUPERUSER, LIMITED, VIEWER = "ada", "carol", "vera"
SUPERUSERS = [SUPERUSER, "bob"]
PERMISSIONS = {
    LIMITED: [
        "view_apikey", "change_apikey", "mint_apikey", "revoke_apikey", "view_serviceuser",
        "change_serviceuser",
        "view_loginsession", "change_loginsession", "view_auditevent", "grant_any_scope",
    ],
    VIEWER: ["view_apikey", "view_serviceuser", "view_loginsession", "view_auditevent"],
}  # fmt: skip

MAKE_PEOPLE_AND_MACHINES = f"""
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from pikku_auth.flows import create_service_user
users = get_user_model().objects
for name in {SUPERUSERS!r}:
    users.create_superuser(name, f"{{name}}@example.com", {PASSWORD!r})
for name, codenames in {PERMISSIONS!r}.items():
    user = users.create_user(name, password={PASSWORD!r}, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
create_service_user("sandbox-runtime", description="Runs the sandboxes")
create_service_user("builder", description="Builds and deploys")
"""
