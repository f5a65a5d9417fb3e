"""A host's own admin site, as docs/admin.md has it."""

from __future__ import annotations

from django.contrib.admin import AdminSite

from pikku_auth.admin import ServiceUserAdmin
from pikku_auth.models import ServiceUser
from tests.docs.pages import names_of

operations: AdminSite = names_of("admin.md")["operations"]
machines = AdminSite(name="machines")
machines.register(ServiceUser, ServiceUserAdmin)
