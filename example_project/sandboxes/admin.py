"""Sandboxes in the admin."""

from __future__ import annotations

from django.contrib import admin

from example_project.sandboxes.models import Organisation, Sandbox

admin.site.register(Organisation)


@admin.register(Sandbox)
class SandboxAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes none at run time
    """Move a sandbox or stop it here, and its key's very next request goes by that."""

    list_display = ["name", "organisation", "status", "created_by", "created_at"]
    list_filter = ["status", "organisation"]
