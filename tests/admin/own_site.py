"""A host's own admin site, as docs/admin.md has it."""

from __future__ import annotations

from django.contrib.admin import AdminSite

from tests.docs.pages import names_of

operations: AdminSite = names_of("admin.md")["operations"]
