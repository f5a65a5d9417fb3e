"""The audit trail: to read, to filter, and to take along as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.base import register
from pikku_auth.admin.dates import date_bar
from pikku_auth.admin.display import moment_of, short
from pikku_auth.admin.filters import RecentValuesFilter
from pikku_auth.admin.history import told
from pikku_auth.admin.leak_search import FindingAdmin
from pikku_auth.admin.paging import BoundedChangeList
from pikku_auth.models import AuditEvent

_COLUMNS = [
    "id", "at", "action", "what", "subject", "service_user_id", "key_id", "login_id",
    "actor_id", "actor", "source", "ip", "user_agent", "details",
]  # fmt: skip
_CHUNK = 2_000


class _Echo:
    """A file object whose ``write`` returns the text, to stream CSV."""

    def write(self, text: str) -> str:
        return text


class DatedChangeList(BoundedChangeList):
    """With a bar of dates."""

    @cached_property
    def date_bar(self) -> dict[str, Any]:
        return date_bar(self)


@register(AuditEvent)
class AuditEventAdmin(FindingAdmin):
    """What was done, by whom, from where."""

    machine = "service_user"
    first_row = _(
        "No events yet. Each change to a service user, a key or a login is recorded here."
    )

    list_display = ("moment", "short_what", "short_subject", "actor_name", "where")
    list_filter = ("action", ("source", RecentValuesFilter))
    date_hierarchy = "at"
    search_fields = ("subject", "actor_name", "key__preview", "service_user__name")
    search_address = "ip"
    search_help_text = _(
        "How a subject, a key, a service user or an actor begins, or an IP address."
    )
    sortable_by = ("moment",)
    ordering = ("-at", "-pk")
    fields = ("moment", "what", "subject", "actor_name", "source", ("ip", "user_agent"), "details")
    moment = moment_of("at", _("at"))

    def managed(self, machines: list[int]) -> Q:
        """Also events about no service user, except those of deleted ones."""
        about_one = Q(action__startswith="key_") | Q(action__startswith="service_user_")
        return super().managed(machines) | (Q(service_user=None) & ~about_one)

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [path("export/", export, name="pikku_auth_auditevent_export"), *super().get_urls()]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also the events of one row, which the pages of keys and service users link to."""
        if lookup in {"key__id__exact", "login__id__exact", "service_user__id__exact"}:
            return True
        return super().lookup_allowed(lookup, value, request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, with what the export has to know: the filters, and not the page."""
        query = request.GET.copy()
        query.pop(PAGE_VAR, None)
        context = {"export_query": query.urlencode(), **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[BoundedChangeList]:
        return DatedChangeList

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The events of the list as it is filtered, as a CSV file, the newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            events = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            path = self.url_of(AuditEvent, "changelist")
            return HttpResponseRedirect(f"{path}?{ERROR_FLAG}=1")
        lines = _lines(events.iterator(chunk_size=_CHUNK))
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    @admin.display(description=_("what"))
    def what(self, event: AuditEvent) -> str:
        return told(event)

    @admin.display(description=_("what"))
    def short_what(self, event: AuditEvent) -> str:
        return short(told(event), 44)

    @admin.display(description=_("subject"))
    def short_subject(self, event: AuditEvent) -> str:
        """Both ends: the name comes first, the start of the key and its service user last."""
        return short(event.subject, 20, 40)

    @admin.display(description=_("from where"))
    def where(self, event: AuditEvent) -> str:
        if not event.ip:
            return event.source
        return format_html("{}<br><code>{}</code>", event.source, event.ip)


def _lines(events: Iterable[Any]) -> Iterator[str]:
    rows: Any = csv.writer(_Echo())
    yield rows.writerow(_COLUMNS)
    for event in events:
        yield rows.writerow([_plain(cell) for cell in _cells(event)])


def _cells(event: AuditEvent) -> list[str]:
    """As text. The ids are the primary keys of the rows that the event is about."""
    ids = (event.service_user_id, event.key_id, event.login_id, event.actor_id)
    return [
        str(event.pk),
        event.at.isoformat(),
        event.action,
        told(event),
        event.subject,
        *("" if pk is None else str(pk) for pk in ids),
        event.actor_name,
        event.source,
        event.ip or "",
        event.user_agent,
        json.dumps(event.details, ensure_ascii=False),
    ]


def _plain(text: str) -> str:
    """``text`` such that no spreadsheet takes it for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
