"""What the four screens share: reading only, and history in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR
from django.contrib.auth import get_user_model
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from pikku_auth.admin.display import moment
from pikku_auth.admin.history import MOST_TOLD, link_of, story_of, told
from pikku_auth.admin.paging import PagingAdmin
from pikku_auth.admin.search import SearchingAdmin
from pikku_auth.conf import conf
from pikku_auth.flows import AuditContext, manageable
from pikku_auth.flows.credentials import address_of
from pikku_auth.models import AuditEvent
from pikku_auth.models.users import username_of

Screen = TypeVar("Screen", bound="type[admin.ModelAdmin[Any]]")

_MANAGED = "_pikku_auth_managed"
_SECRET = ("digest", "auth_hash")
_NOT_A_FILTER = {ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR}


class WatchingAdmin(PagingAdmin, SearchingAdmin):
    """Lists and shows; a form that saves would bypass the verbs, and with them the audit."""

    actions_selection_counter = True
    linked: Mapping[str, type[Model]] = {}
    """Columns that link, and to the pages of what. Who may not see those gets ``…_name``."""
    first_row: Any = ""
    """What an empty list says: how its first row comes to be. ``%(url)s`` is the site's."""
    machine: str = ""
    """The lookup that leads to the service user, for what is shown to those who manage it."""

    class Media:
        css = {"all": ["pikku_auth/admin.css"]}  # as Django has it
        js = ["pikku_auth/admin.js"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """The rows of the machines that this member of staff may manage."""
        return self.managed_of(request, super().get_queryset(request))

    def managed_of(self, request: HttpRequest, rows: Any) -> Any:
        """Those of ``rows`` that belong to machines that this member of staff may manage."""
        if not self.machine or conf.may_manage is None:
            return rows
        return rows.filter(self.managed(managed_by(request)))

    def managed(self, machines: list[int]) -> Q:
        """Which rows belong to ``machines``."""
        return Q(**{f"{self.machine}__in": machines})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Also with the change permission, as in Django; ``has_change_permission`` refuses."""
        name = self.opts.model_name
        return may(request, f"view_{name}") or may(request, f"change_{name}")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse filters on secret columns, which could be guessed letter by letter."""
        if any(name in lookup for name in _SECRET):
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, with a word for a list that is empty without any filter or search."""
        is_whole = set(request.GET) <= _NOT_A_FILTER
        url = request.build_absolute_uri("/").rstrip("/")
        first_row = self.first_row % {"url": url} if is_whole else ""
        context = {"first_row": first_row, **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, context)
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The audit trail of a row in words, from every source."""
        row = self.get_object(request, unquote(object_id))
        context = {
            "story": [(event, moment(event.at), told(event)) for event in story_of(row)],
            "most_told": MOST_TOLD,
            "media": self.media,
            "trail": self._trail_of(row, request),
            **(extra_context or {}),
        }
        return super().history_view(request, object_id, context)

    def _trail_of(self, row: Model | None, request: HttpRequest) -> str:
        """The address of all events of ``row``, where the viewer may see it."""
        link = link_of(row)
        if row is None or not link or not may_see(self.admin_site, AuditEvent, request):
            return ""
        return f"{self.url_of(AuditEvent, 'changelist')}?{link}__id__exact={row.pk}"

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self.permitted(request, super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (name, {**options, "fields": self.permitted(request, options["fields"])})
            for name, options in super().get_fieldsets(request, obj)
        ]

    def permitted(self, request: HttpRequest, columns: Sequence[Any]) -> list[Any]:
        """``columns`` without the links that would lead the viewer to a refusal."""
        return [
            tuple(self.permitted(request, column))
            if isinstance(column, (list, tuple))
            else self._permitted(request, column)
            for column in columns
        ]

    def _permitted(self, request: HttpRequest, column: str) -> str:
        model = self.linked.get(column)
        links = model is None or may_see(self.admin_site, model, request)
        return column if links else f"{column}_name"

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """A page of this site's, with what its templates expect."""
        request.current_app = self.admin_site.name
        common = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "way_back": self.way_back(request),
        }
        return TemplateResponse(request, f"admin/pikku_auth/{template}", common | context)

    def url_of(self, model: type[Model], name: str, *args: Any) -> str:
        """The address of a page of ``model`` on this site."""
        meta, site = model._meta, self.admin_site.name
        path = f"admin:{meta.app_label}_{meta.model_name}_{name}"
        return reverse(path, args=args, current_app=site)

    def way_back(self, request: HttpRequest) -> str:
        """The list, or the front page for who may not see it."""
        if self.has_view_permission(request):
            return self.url_of(self.model, "changelist")
        return reverse("admin:index", current_app=self.admin_site.name)

    def link_to(self, row: Model | None) -> str:
        """A link to the page of ``row``, where this site has one."""
        if row is None:
            return "-"
        name = username_of(row) if isinstance(row, get_user_model()) else str(row)
        if not self.admin_site.is_registered(type(row)):
            return name
        return format_html('<a href="{}">{}</a>', self.url_of(type(row), "change", row.pk), name)


def register(model: type[Model]) -> Callable[[Screen], Screen]:
    """As ``admin.register``, but also where a project has registered every model before.

    A plain screen would let staff edit digests and scopes, so ours takes its place.
    """

    def decorate(screen: Screen) -> Screen:
        if admin.site.is_registered(model):
            admin.site.unregister(model)
        admin.site.register(model, screen)
        return screen

    return decorate


def may(request: HttpRequest, codename: str) -> bool:
    """Whether this member of staff has a permission of this app."""
    return request.user.has_perm(f"pikku_auth.{codename}")


def may_see(site: admin.AdminSite, model: type[Model], request: HttpRequest) -> bool:
    """Whether ``site`` has a screen for ``model``, and shows it to this member of staff."""
    return site.is_registered(model) and site.get_model_admin(model).has_view_permission(request)


def managed_by(request: HttpRequest) -> list[int]:
    """The service users that this member of staff may manage; the rule is asked once a request."""
    known: list[int] | None = getattr(request, _MANAGED, None)
    if known is None:
        known = list(manageable(request.user).values_list("pk", flat=True))
        setattr(request, _MANAGED, known)
    return known


def context_of(request: HttpRequest) -> AuditContext:
    """The audit context of a request in the admin: its user, address and browser."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    return AuditContext("admin", request.user, ip=address_of(request), user_agent=agent)
