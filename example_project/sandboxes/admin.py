"""Sandboxes in the admin."""

from __future__ import annotations

from django.contrib import admin

from example_project.sandboxes.models import Sandbox

admin.site.register(Sandbox)
