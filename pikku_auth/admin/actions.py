"""Actions: what staff do to one row or to many, after a page that says what it means.

Each is a button on the page of a row, and one of Django's actions in the list. Both lead to the
same page, and that page to the same verb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pikku_auth.admin.base import context_of, may
from pikku_auth.admin.leak_search import FindingAdmin
from pikku_auth.admin.paging import BoundedPaginator, Count, count_of
from pikku_auth.exceptions import InvalidInput

MOST = 1_000
"""Rows that one action takes at most."""

_NAMED = 20
"""Rows that change as well, of those that the page names."""

Text = str | Promise


class ActionForm(forms.Form):
    """What an action asks for; nothing, by default."""

    def __init__(self, request: HttpRequest, rows: Sequence[Any], data: Any = None) -> None:
        self.request = request
        super().__init__(data)


class ReasonForm(ActionForm):
    """Why, for the record."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}),
    )


@dataclass(frozen=True)
class Following:
    """What changes as well. ``rows`` makes it of the rows that are acted on, and ``told``, an
    ``ngettext_lazy`` of ``n``, says what becomes of it."""

    rows: Callable[[Sequence[Any]], QuerySet[Any]]
    told: Any


@dataclass(frozen=True)
class Action:
    """``run`` gets the request, the rows and what the form asked; it answers with how many
    it changed, or with a page. ``question`` and ``done`` are ``ngettext_lazy`` of ``n``.
    ``widen`` makes of the rows that were chosen those that will change. A question that has
    ``%(of)s`` says whose the rows are: the name that ``owner`` gives for each if there is one,
    and ``owners``, an ``ngettext_lazy`` of ``n``, if there are more."""

    name: str
    label: Text
    question: Any
    done: Any
    permission: str
    run: Callable[[Any, HttpRequest, Sequence[Any], dict[str, Any]], int | HttpResponse]
    meaning: Text = ""
    form: type[ActionForm] = ActionForm
    is_for: Callable[[Any], bool] = field(default=lambda row: True)
    widen: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    is_dangerous: bool = False
    owner: Callable[[Any], str] = str
    owners: Any = ""
    following: Following | None = None

    def asked(self, count: int, rows: Sequence[Any]) -> str:
        """The question about ``count`` rows, of the owners of ``rows``."""
        names = {self.owner(row) for row in rows}
        of = names.pop() if len(names) == 1 else self.owners % {"n": len(names)}
        return str(self.question % {"n": count, "of": of})

    def concerned(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Those that will change."""
        if self.widen is not None:
            return self.widen(rows)
        return [row for row in rows if self.is_for(row)]


def each(verb: Callable[..., bool], told: Text) -> Callable[..., int]:
    """A handler that calls ``verb`` for each row with the form's values, and logs it."""

    def run(
        modeladmin: Any, request: HttpRequest, rows: Sequence[Any], given: dict[str, Any]
    ) -> int:
        context = context_of(request)
        changed = [row for row in rows if verb(row, context=context, **given)]
        modeladmin.log_changes(request, changed, str(told))
        return len(changed)

    return run


class ActionAdmin(FindingAdmin):
    """Offers ``row_actions`` to staff who have their permission."""

    row_actions: Sequence[Action] = ()
    action_columns: Sequence[str] = ()

    def __init__(self, model: type[Model], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        self.actions = [*(self.actions or ()), *map(_action_of, self.row_actions)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        return [path("act/<slug:name>/", view, name=name), *super().get_urls()]

    def permitted_actions(self, request: HttpRequest) -> list[Action]:
        """The actions that this member of staff may do."""
        visible = self.has_view_permission(request)
        return [
            action for action in self.row_actions if visible and may(request, action.permission)
        ]

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Without the actions that are not permitted. ``action_location`` is Django 6.1's."""
        where = {} if action_location is None else {"action_location": action_location}
        hidden = {action.name for action in self.row_actions} - {
            action.name for action in self.permitted_actions(request)
        }
        found = super().get_actions(request, **where)
        return {name: action for name, action in found.items() if name not in hidden}

    def action_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask, or do what was asked. ``ids`` are the primary keys, comma-separated."""
        action = next((action for action in self.row_actions if action.name == name), None)
        if action is None:
            raise Http404
        if action not in self.permitted_actions(request):
            raise PermissionDenied
        return self.handle_action(
            request, action, self.get_queryset(request).filter(pk__in=_ids(request))
        )

    def handle_action(
        self, request: HttpRequest, action: Action, chosen: QuerySet[Any]
    ) -> HttpResponse:
        """Ask about the rows, or do it to them if that was confirmed."""
        rows = list(chosen.select_related(*self._related).order_by("pk")[: MOST + 1])
        if not 0 < len(rows) <= MOST:
            return self._turn_back(request, _too_many(chosen) if rows else _("Choose a row."))
        if request.method == "POST" and "confirm" in request.POST:
            return self._do(request, action, rows)
        if action.widen is None and not action.concerned(rows):
            told = _("That can't be done to any of the rows that you chose.")
            return self._turn_back(request, told)
        return self._ask(request, action, rows, action.form(request, rows))

    def _ask(
        self, request: HttpRequest, action: Action, rows: Sequence[Any], form: ActionForm
    ) -> HttpResponse:
        """The page that says what the action means, for which rows."""
        concerned = action.concerned(rows)
        shown = concerned if concerned or action.widen else rows
        columns = self.permitted(request, self.action_columns)
        shown = self.with_columns(shown)
        return self.page(
            request,
            "action.html",
            title=action.asked(len(shown), rows if action.widen else shown),
            action=action,
            form=form,
            ids=",".join(str(row.pk) for row in (rows if action.widen else shown)),
            left_out=0 if action.widen else len(rows) - len(shown),
            following=self._following(request, action, shown),
            back=_query_of_list(request),
            action_url=self.url_of(self.model, "act", action.name),
            headings=[getattr(self, column).short_description for column in columns],
            table=[[getattr(self, column)(row) for column in columns] for row in shown],
        )

    def _following(
        self, request: HttpRequest, action: Action, rows: Sequence[Any]
    ) -> dict[str, Any] | None:
        """How many change as well, and which: the first of those that the viewer manages."""
        if action.following is None:
            return None
        others = action.following.rows(rows)
        known = self.managed_of(request, others)
        pages = BoundedPaginator(known, _NAMED)
        count = pages.count if known is others else count_of(others)
        if not count:
            return None
        named = list(pages.rows(1).select_related(*self._related))
        more = type(count)(count - len(named))
        return {"told": action.following.told % {"n": count}, "named": named, "more": more}

    @property
    def _related(self) -> Any:
        return self.list_select_related

    def with_columns(self, rows: Sequence[Any]) -> Sequence[Any]:
        """``rows`` with what ``action_columns`` say of them."""
        return rows

    def log_changes(self, request: HttpRequest, rows: Sequence[Any], told: str) -> None:
        """Django's own log of what staff do, an entry for each row."""
        who: Any = request.user.pk
        LogEntry.objects.log_actions(who, rows, CHANGE, told)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of a row, with a button for each action that it and the viewer permit."""
        row = self.get_object(request, unquote(object_id)) if object_id else None
        row_actions = [
            action
            for action in self.permitted_actions(request)
            if row is not None and action.is_for(row)
        ]
        links = [(action, self.url_of(self.model, "act", action.name)) for action in row_actions]
        context = {
            "row_actions": links,
            "show_save_and_add_another": False,
            **(extra_context or {}),
        }
        response: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return response

    def _do(self, request: HttpRequest, action: Action, rows: Sequence[Any]) -> HttpResponse:
        form = action.form(request, rows, request.POST)
        if not form.is_valid():
            return self._ask(request, action, rows, form)
        try:
            outcome = action.run(self, request, rows, form.cleaned_data)
        except InvalidInput as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
            return self._ask(request, action, rows, form)
        if isinstance(outcome, HttpResponse):
            return outcome
        self.message_user(request, action.done % {"n": outcome}, messages.SUCCESS)
        return self._back_to_list(request)

    def _turn_back(self, request: HttpRequest, problem: str) -> HttpResponse:
        self.message_user(request, problem, messages.ERROR)
        return self._back_to_list(request)

    def _back_to_list(self, request: HttpRequest) -> HttpResponse:
        """To the list as it was filtered."""
        query = _query_of_list(request)
        path = self.url_of(self.model, "changelist")
        return HttpResponseRedirect(f"{path}?{query}" if query else path)


def _ids(request: HttpRequest) -> list[int]:
    words = (request.POST.get("ids") or request.GET.get("ids", "")).split(",")
    given = [word for word in words if word]
    if not all(word.isdecimal() and len(word) < 19 for word in given):
        raise Http404
    return [int(word) for word in given[: MOST + 1]]


def _query_of_list(request: HttpRequest) -> str:
    """How the list was filtered where the rows were chosen."""
    if "action" in request.POST:
        return request.GET.urlencode()
    return QueryDict(request.POST.get("back", "")).urlencode()


def _too_many(chosen: QuerySet[Any]) -> str:
    count = count_of(chosen)
    return ngettext(
        "You chose %(count)s row, and at most %(most)s go at once: narrow the list by its "
        "filters, or choose page by page.",
        "You chose %(count)s rows, and at most %(most)s go at once: narrow the list by its "
        "filters, or choose page by page.",
        count,
    ) % {"count": count, "most": Count(MOST)}


def _action_of(action: Action) -> Callable[[ActionAdmin, HttpRequest, QuerySet[Any]], HttpResponse]:
    def run(modeladmin: ActionAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return modeladmin.handle_action(request, action, rows)

    run.__name__ = action.name
    run.short_description = action.label  # type: ignore[attr-defined]  # as Django has it
    return run
