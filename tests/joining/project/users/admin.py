"""Every model, as some projects do."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin

for model in apps.get_models():
    if not admin.site.is_registered(model):
        admin.site.register(model)
