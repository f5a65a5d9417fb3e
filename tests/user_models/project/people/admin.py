"""The host shows its users in its admin."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import get_user_model

admin.site.register(get_user_model())
