"""The door for staff: look, and end logins. Keys are changed by commands and code."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from pikku_auth.flows import Origin, revoke_login
from pikku_auth.flows.resolver import address_of
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser


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


@admin.register(LoginSession)
class LoginSessionAdmin(ReadOnlyAdmin):
    """Which humans are logged in from where, and the button that ends it.

    Who may change logins may end them; the permission changes nothing else.
    """

    list_display = [
        "start",
        "user",
        "client_id",
        "scopes",
        "ip",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    list_select_related = ["user"]
    list_filter = ["client_id"]
    ordering = ["-pk"]
    exclude = ["digest", "auth_hash", "device_code"]
    actions = ["revoke_selected"]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["start", "client_id", f"user__{get_user_model().USERNAME_FIELD}"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Never by what a password went into, either."""
        return "auth_hash" not in lookup and super().lookup_allowed(lookup, value, request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may end logins."""
        return request.user.has_perm("pikku_auth.change_loginsession")

    @admin.display(description=_("scopes"))
    def scopes(self, login: LoginSession) -> str:
        return ", ".join(login.scopes)

    @admin.action(description=_("Revoke selected logins"), permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, logins: QuerySet[LoginSession]) -> None:
        """End each of them, as the verb does it."""
        agent = request.META.get("HTTP_USER_AGENT", "")
        origin = Origin("admin", request.user, ip=address_of(request), user_agent=agent)
        ended = sum(
            revoke_login(login, reason="revoked by staff", origin=origin) for login in logins
        )
        told = ngettext("Ended %(n)d login.", "Ended %(n)d logins.", ended) % {"n": ended}
        self.message_user(request, told, messages.SUCCESS)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """What was done, by whom."""

    list_display = ["at", "action", "subject", "actor_name", "door", "ip"]
    list_filter = ["action", "door"]
    search_fields = ["subject", "actor_name"]
    ordering = ["-at", "-pk"]
