"""The app."""

from __future__ import annotations

from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    """Sandboxes."""

    name = "example_project.sandboxes"
    default_auto_field = "django.db.models.BigAutoField"
