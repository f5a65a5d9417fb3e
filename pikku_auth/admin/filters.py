"""The filters of the list of keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q
from django.forms import Media, ModelChoiceField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.base import may_see
from pikku_auth.admin.widgets import ServiceUserSelect
from pikku_auth.flows import manageable
from pikku_auth.models import APIKey, KeyState

_NEWEST = 1_000
"""Rows whose values a filter offers."""

_DIGITS = 19
"""Those of an id are fewer."""


def expiring(days: int, now: datetime) -> Q:
    """Keys that end within ``days``."""
    return Q(revoked_at=None, expires_at__gt=now, expires_at__lte=now + timedelta(days=days))


def unused(days: int, now: datetime) -> Q:
    """Keys that were not used for ``days``, and had as long to be."""
    since = now - timedelta(days=days)
    return Q(last_used_at=None, created_at__lte=since) | Q(last_used_at__lte=since)


class StateFilter(admin.SimpleListFilter):
    """By what a key is now."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(KeyState.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.in_state(self.value(), timezone.now()) if self.value() else queryset


class ExpiryFilter(admin.SimpleListFilter):
    """Live keys by how soon they end."""

    title = _("expiry")
    parameter_name = "expires"
    days = ("7", "14", "30", "90")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("7", _("within 7 days")),
            ("14", _("within 14 days")),
            ("30", _("within 30 days")),
            ("90", _("within 90 days")),
            ("never", _("never")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "never":
                return queryset.filter(expires_at=None)
            case days if days in self.days:
                return queryset.filter(expiring(int(days), timezone.now()))
        return queryset


class UseFilter(admin.SimpleListFilter):
    """By when a key was used last."""

    title = _("last use")
    parameter_name = "used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("day", _("in the last 24 hours")),
            ("not30", _("not for 30 days")),
            ("not90", _("not for 90 days")),
            ("never", _("never")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "never":
                return queryset.filter(last_used_at=None)
            case "day":
                return queryset.filter(last_used_at__gte=timezone.now() - timedelta(days=1))
            case "not30" | "not90" as choice:
                days = int(choice.removeprefix("not"))
                return queryset.filter(unused(days, timezone.now()))
        return queryset


class ParentFilter(admin.SimpleListFilter):
    """By the key that has minted them. Only a link leads here: there may be too many to offer."""

    title = _("parent")
    parameter_name = "parent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The key that was asked for, by its name if the viewer may see it."""
        asked = self.value()
        if asked is None:
            return []
        if not (asked.isascii() and asked.isdigit() and len(asked) < _DIGITS):
            raise IncorrectLookupParameters(asked)
        key = model_admin.get_queryset(request).filter(pk=int(asked)).first()
        return [(asked, str(key) if key else gettext("key %(pk)s") % {"pk": int(asked)})]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        asked = self.value()
        return queryset if asked is None else queryset.filter(parent=int(asked))


class RecentValuesFilter(admin.AllValuesFieldListFilter):
    """By a value that one of the newest rows has: Django's reads every row for its choices."""

    def __init__(
        self,
        field: Any,
        request: HttpRequest,
        params: dict[str, Any],
        model: Any,
        model_admin: Any,
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        newest = model_admin.get_queryset(request).order_by("-pk")
        values = newest.values_list(field_path, flat=True)[:_NEWEST]
        choices: Any = sorted({*values, *(self.lookup_val or [])})
        self.lookup_choices = choices


class ServiceUserFilter(admin.FieldListFilter):
    """By owner, found by typing: there may be too many for a list."""

    template = "admin/pikku_auth/service_user_filter.html"

    def __init__(
        self,
        field: Any,
        request: HttpRequest,
        params: dict[str, Any],
        model: Any,
        model_admin: Any,
        field_path: str,
    ) -> None:
        self.parameter = f"{field_path}__id__exact"
        super().__init__(field, request, params, model, model_admin, field_path)
        self._widget = ServiceUserSelect(field, model_admin.admin_site)
        self._everyone = manageable(request.user)
        self._has_output = may_see(model_admin.admin_site, field.related_model, request)

    def has_output(self) -> bool:
        """Only where the admin of service users is registered and visible: autocomplete asks it."""
        return self._has_output

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """One choice: the autocomplete box, with the other query parameters."""
        used = self.used_parameters.get(self.parameter)
        value = used[-1] if isinstance(used, list) else used
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter
            for value in (values if isinstance(values, list) else [values])
        ]
        if changelist.query:
            others.append(("q", changelist.query))
        yield {
            "widget": self._box(value),
            "others": others,
            "clear": changelist.get_query_string(remove=[self.parameter]) if value else "",
        }

    def _box(self, value: Any) -> Any:
        box = ModelChoiceField(self._everyone, required=False, widget=self._widget)
        return box.widget.render(self.parameter, value, {"id": "pikku-service-user-filter"})


def media_of(model_admin: Any) -> Media:
    """The scripts and styles of the autocomplete box."""
    owner = APIKey._meta.get_field("service_user")
    return ServiceUserSelect(owner, model_admin.admin_site).media
