"""Deleting what is over, and saying why the rest is kept."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected as delete_chosen
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from pikku_auth.admin.actions import ActionAdmin


class DeletingAdmin(ActionAdmin):
    """Explains why rows can't be deleted, where Django would list related rows or answer 403."""

    actions = ("delete_selected",)

    def why_kept(self, rows: QuerySet[Any]) -> str:
        """Why one of ``rows`` can't be deleted; empty if all can. It costs two queries."""
        raise NotImplementedError

    @admin.action(
        permissions=["delete"],
        description=delete_chosen.short_description,  # type: ignore[attr-defined]
    )
    def delete_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Django's action, for rows that may go."""
        if problem := self.why_kept(rows):
            self.message_user(request, problem, messages.ERROR)
            return None
        return delete_chosen(self, request, rows)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's page, for a row that may go."""
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_delete_permission(request):
            return super().delete_view(request, object_id, extra_context)
        if problem := self.why_kept(self.get_queryset(request).filter(pk=row.pk)):
            self.message_user(request, problem, messages.ERROR)
            return HttpResponseRedirect(self.url_of(self.model, "change", row.pk))
        return super().delete_view(request, object_id, extra_context)
