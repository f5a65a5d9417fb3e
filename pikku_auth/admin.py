"""The door for staff: look, and so far only look. Keys are changed by commands and code."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from pikku_auth.models import APIKey, AuditEvent, ServiceUser


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none at run time
    """Lists and shows; a form here would bypass the verbs, and with them the audit."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Never by digest: a filter could be asked for it letter by letter."""
        return "digest" not in lookup and super().lookup_allowed(lookup, value, request)


@admin.register(ServiceUser)
class ServiceUserAdmin(ReadOnlyAdmin):
    """Who the machines are."""

    list_display = ["name", "description", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "description"]
    ordering = ["name"]


@admin.register(APIKey)
class APIKeyAdmin(ReadOnlyAdmin):
    """Which keys there are, and what they are now."""

    list_display = [
        "start",
        "name",
        "service_user",
        "scopes",
        "state",
        "last_used_at",
        "expires_at",
    ]
    list_filter = ["service_user"]
    search_fields = ["start", "name", "service_user__name"]
    ordering = ["-pk"]
    exclude = ["digest"]
    readonly_fields = ["state"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[APIKey]:
        keys: QuerySet[APIKey] = super().get_queryset(request)
        return keys.select_related("service_user__user")

    @admin.display(description=_("scopes"))
    def scopes(self, key: APIKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description=_("state"))
    def state(self, key: APIKey) -> Any:
        return key.state(timezone.now()).label


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """What was done, by whom."""

    list_display = ["at", "action", "subject", "actor_name", "door", "ip"]
    list_filter = ["action", "door"]
    search_fields = ["subject", "actor_name"]
    ordering = ["-at", "-pk"]
