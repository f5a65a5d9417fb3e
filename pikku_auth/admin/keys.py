"""Keys: a list with actions, and a page for each key."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin import key_actions, minting
from pikku_auth.admin.base import context_of, managed_by, may, register
from pikku_auth.admin.deletion import DeletingAdmin
from pikku_auth.admin.display import WHY, ago, ahead, key_of, moment_of, some_of, state_of
from pikku_auth.admin.few import newest_of
from pikku_auth.admin.filters import (
    ExpiryFilter,
    ParentFilter,
    ServiceUserFilter,
    StateFilter,
    UseFilter,
    media_of,
)
from pikku_auth.admin.forms import KeyForm
from pikku_auth.admin.metadata import MetadataText
from pikku_auth.admin.paging import Count, count_of
from pikku_auth.conf import conf
from pikku_auth.core.delegation import EVERY
from pikku_auth.flows import delete_key, rename_key
from pikku_auth.flows.keys.family import may_have_children
from pikku_auth.models import APIKey, KeyState, ServiceUser
from pikku_auth.models.users import username_of


@register(APIKey)
class APIKeyAdmin(DeletingAdmin):
    """Which keys there are and what they are now; mint, rotate, revoke."""

    form = KeyForm
    machine = "service_user"
    first_row = _(
        "No keys yet. Staff who may mint keys make the first with “Add API key”, or "
        "manage.py mint_key does."
    )
    row_actions = key_actions.ACTIONS
    action_columns = ("key", "coloured_state", "owner", "last_used")
    list_display = ("key", "coloured_state", "owner", "some_scopes", "last_used", "expires")
    linked = {"owner": ServiceUser, "creator": get_user_model()}
    list_select_related = ("service_user__user",)
    list_filter = (
        StateFilter,
        ExpiryFilter,
        UseFilter,
        ParentFilter,
        ("service_user", ServiceUserFilter),
    )
    change_form_template = "admin/pikku_auth/key.html"
    search_fields = ("preview", "name", "service_user__name")
    search_texts = {"metadata": Cast("metadata", MetadataText())}
    search_help_text = _(
        "How a key, its name or its service user begins. In the metadata: metadata:word."
    )
    sortable_by = ("key", "expires")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ["preview", "name", "owner", "state_and_why", "scope_list"]}),
        (
            _("Life"),
            {
                "fields": [
                    ("created", "creator"),
                    "expiry",
                    ("use", "last_used_ip"),
                    ("predecessor", "successor_link"),
                    "parent_link",
                    ("revoked", "revoke_reason"),
                ]
            },
        ),
        (
            _("Bounds"),
            {"fields": ["network_list", "rate_text", ("remaining", "refill_text")]},
        ),
        (_("Metadata"), {"fields": ["metadata_text"]}),
        (_("Managing keys"), {"fields": ["acts_for", "child_metadata", "most_children"]}),
    )

    created = moment_of("created_at", _("created at"))
    expiry = moment_of("expires_at", _("expires at"))
    use = moment_of("last_used_at", _("last used at"))
    revoked = moment_of("revoked_at", _("revoked at"))

    @property
    def media(self) -> Media:
        return super().media + media_of(self)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Minting is a permission of its own; Django's ``add_apikey`` is not asked for."""
        return may(request, "mint_apikey")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, "change_apikey")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only a key that is over; revoking is what ends one."""
        is_over = obj is None or obj.state(timezone.now()) in key_actions.OVER
        return is_over and may(request, "delete_apikey")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the last one for a key that manages none, and without others' parents."""
        fieldsets = super().get_fieldsets(request, obj)
        shown = fieldsets if obj is None or may_have_children(obj) else fieldsets[:-1]
        parent = getattr(obj, "parent", None)
        if parent is None or self._manages(request, parent):
            return shown
        return [
            (title, {**options, "fields": [_of_others(field) for field in options["fields"]]})
            for title, options in shown
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in fields if name != "name"]

    def _manages(self, request: HttpRequest, key: APIKey) -> bool:
        return conf.may_manage is None or key.service_user_id in managed_by(request)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the newest keys that it has minted, and how many of them are alive."""
        key = self.get_object(request, unquote(object_id))
        context: dict[str, Any] = {"mints": key is not None and may_have_children(key)}
        if context["mints"]:
            children = self.get_queryset(request).filter(parent=key)
            related = children.select_related(*self.list_select_related)
            context["keys"] = newest_of(self, related)
            context["alive"] = count_of(children.alive(timezone.now()))
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The next to end first, or the last that has: so an index has both in their order."""
        if request.GET.get(StateFilter.parameter_name) == KeyState.EXPIRED:
            return "-expires_at", "-pk"
        if request.GET.get(ExpiryFilter.parameter_name) in ExpiryFilter.days:
            return "expires_at", "pk"
        return self.ordering

    def why_kept(self, rows: Any) -> str:
        alive = rows.alive(timezone.now()).first()
        if alive:
            return gettext("%(row)s is still alive: revoke it first.") % {"row": alive}
        parent = rows.filter(Exists(APIKey.objects.filter(parent=OuterRef("pk")))).first()
        told = gettext("%(row)s has minted others: delete those first.")
        return told % {"row": parent} if parent else ""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return minting.mint_view(self, request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Rename; nothing else of a key that lives can be changed."""
        key = self.get_queryset(request).get(pk=obj.pk)
        rename_key(key, form.cleaned_data["name"], context=context_of(request))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_key(obj, context=context_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for key in queryset:
            delete_key(key, context=context_of(request))

    @admin.display(description=_("key"), ordering="name")
    def key(self, key: APIKey) -> str:
        return key_of(key)

    @admin.display(description=_("service user"))
    def owner(self, key: APIKey) -> str:
        return self.link_to(key.service_user)

    @admin.display(description=_("service user"))
    def owner_name(self, key: APIKey) -> str:
        return str(key.service_user)

    @admin.display(description=_("created by"))
    def creator(self, key: APIKey) -> str:
        return self.link_to(key.created_by)

    @admin.display(description=_("created by"))
    def creator_name(self, key: APIKey) -> str:
        return username_of(key.created_by) or "-"

    @admin.display(description=_("scopes"))
    def some_scopes(self, key: APIKey) -> str:
        return some_of(key.allowed_scopes) or gettext("none")

    @admin.display(description=_("scopes"))
    def scope_list(self, key: APIKey) -> str:
        """What it may do now, and what the ceiling cuts that it was minted with."""
        now, minted = key.allowed_scopes, ", ".join(key.scopes)
        text = ", ".join(now) or gettext("none")
        if now == key.scopes:
            return text
        told = gettext("%(scopes)s (the ceiling of the service user limits %(minted)s)")
        return told % {"scopes": text, "minted": minted}

    @admin.display(description=_("state"))
    def coloured_state(self, key: APIKey) -> str:
        return state_of(key, timezone.now())

    @admin.display(description=_("state"))
    def state_and_why(self, key: APIKey) -> str:
        now = timezone.now()
        why = WHY.get(key.state(now))
        return format_html("{} {}", state_of(key, now), why) if why else state_of(key, now)

    @admin.display(description=_("last used"))
    def last_used(self, key: APIKey) -> str:
        return ago(key.last_used_at)

    @admin.display(description=_("expires"), ordering="expires_at")
    def expires(self, key: APIKey) -> str:
        return ahead(key.expires_at)

    @admin.display(description=_("rotated from"))
    def predecessor(self, key: APIKey) -> str:
        return self.link_to(key.rotated_from)

    @admin.display(description=_("rotated to"))
    def successor_link(self, key: APIKey) -> str:
        return self.link_to(APIKey.objects.filter(rotated_from=key).first())

    @admin.display(description=_("minted by"))
    def parent_link(self, key: APIKey) -> str:
        return self.link_to(key.parent)

    @admin.display(description=_("minted by"))
    def parent_of_others(self, key: APIKey) -> str:
        return gettext("a key of a machine that you don't manage")

    @admin.display(description=_("acts for"))
    def acts_for(self, key: APIKey) -> str:
        names = key.delegate.service_users
        if EVERY in names:
            return gettext("every service user")
        return ", ".join(dict.fromkeys([key.service_user.name, *names]))

    @admin.display(description=_("its keys may add metadata"))
    def child_metadata(self, key: APIKey) -> str:
        return ", ".join(key.delegate.metadata) or gettext("none")

    @admin.display(description=_("its keys alive at most"))
    def most_children(self, key: APIKey) -> str:
        return str(Count(key.delegate.most))

    @admin.display(description=_("allowed networks"))
    def network_list(self, key: APIKey) -> str:
        """From where it may be used: also those of the key that has minted it must fit."""
        own, parents = ", ".join(key.networks), ", ".join(key.parent_networks)
        if not parents or parents == own:
            return own or gettext("any")
        told = gettext("%(networks)s (its parent may be used from %(parents)s)")
        return told % {"networks": own or gettext("any"), "parents": parents}

    @admin.display(description=_("rate limit"))
    def rate_text(self, key: APIKey) -> str:
        return str(key.rate or gettext("none"))

    @admin.display(description=_("refill"))
    def refill_text(self, key: APIKey) -> str:
        return str(key.refill or gettext("none"))

    @admin.display(description=_("metadata"))
    def metadata_text(self, key: APIKey) -> str:
        text = json.dumps(key.metadata, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)


def _of_others(field: Any) -> Any:
    return "parent_of_others" if field == "parent_link" else field
