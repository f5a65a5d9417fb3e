"""Service users: who the machines are, what each has, and the switch that stops one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import Action, each
from pikku_auth.admin.base import context_of, may, may_see, register
from pikku_auth.admin.deletion import DeletingAdmin
from pikku_auth.admin.display import ago, badge, moment_of
from pikku_auth.admin.few import MOST_OF_ONE, newest_of, with_keys
from pikku_auth.admin.forms import CEILING_FIELDS, ServiceUserForm, ceiling_fields
from pikku_auth.admin.paging import BoundedChangeList, Count, count_of
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    delete_service_user,
    describe_service_user,
    set_service_user_contacts,
    set_service_user_scopes,
)
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.models.users import username_of

ACTIONS = [
    Action(
        name="deactivate",
        label=_("Deactivate"),
        question=ngettext_lazy(
            "Deactivate %(n)d service user?", "Deactivate %(n)d service users?", "n"
        ),
        done=ngettext_lazy("Deactivated %(n)d.", "Deactivated %(n)d.", "n"),
        meaning=_(
            "All its keys are refused from the next request on, until it is activated. So are the "
            "keys that those have minted for others."
        ),
        permission="change_serviceuser",
        run=each(deactivate_service_user, _("Deactivated.")),
        is_for=lambda row: row.is_active,
        is_dangerous=True,
    ),
    Action(
        name="activate",
        label=_("Activate"),
        question=ngettext_lazy(
            "Activate %(n)d service user?", "Activate %(n)d service users?", "n"
        ),
        done=ngettext_lazy("Activated %(n)d.", "Activated %(n)d.", "n"),
        meaning=_("Its keys work again, except those that are disabled, revoked or expired."),
        permission="change_serviceuser",
        run=each(activate_service_user, _("Activated.")),
        is_for=lambda row: not row.is_active,
    ),
]


class _ChangeList(BoundedChangeList):
    """With what the keys of the rows on a page say."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = with_keys(list(self.result_list))
        self.result_list = rows


@register(ServiceUser)
class ServiceUserAdmin(DeletingAdmin):
    """Who the machines are."""

    form = ServiceUserForm
    machine = "pk"
    first_row = _(
        "No service users yet. Staff who may add them make the first with “Add service user”, or "
        "manage.py create_service_user does."
    )
    row_actions = ACTIONS
    action_columns = ("title", "condition", "active_keys", "last_use")
    list_display = ("name", "description", "condition", "active_keys", "last_use")
    linked = {"account": get_user_model()}
    list_filter = ("is_active",)
    list_select_related = ("user",)
    search_fields = ("name",)
    search_texts = {"description": F("description")}
    search_help_text = _("How a name begins. In the descriptions: description:word.")
    sortable_by = ("name",)
    ordering = ("name",)
    change_form_template = "admin/pikku_auth/service_user.html"

    created = moment_of("created_at", _("created at"))

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[BoundedChangeList]:
        return _ChangeList

    def with_columns(self, rows: Sequence[Any]) -> Sequence[Any]:
        return with_keys(rows)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        return row and with_keys([row])[0]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        ceiling = ceiling_fields(request, obj)
        if obj is None:
            return ["name", "description", "contact_lines", *ceiling]
        contacts = "contact_lines" if may(request, "change_serviceuser") else "contacts_text"
        more = ["condition", "account", "created", "last_use"]
        return ["name", "description", contacts, *(ceiling or ["ceiling_text"]), *more]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = self.permitted(request, self.get_fields(request, obj))
        edited = {"description", "contact_lines", *ceiling_fields(request, obj)}
        return [name for name in fields if name not in edited] if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        """Django's, with those fields of the ceiling alone that this member of staff may set."""
        form: Any = super().get_form(request, obj, change, **options)
        for name in CEILING_FIELDS - set(ceiling_fields(request, obj)):
            form.base_fields.pop(name)
        form.narrow_only = not may(request, "grant_any_scope")
        return form

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request, "add_serviceuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, "change_serviceuser")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only one without keys: they are its history. Deactivating is what stops one."""
        is_bare = obj is None or not obj.keys.exists()
        return is_bare and may(request, "delete_serviceuser")

    def why_kept(self, rows: QuerySet[ServiceUser]) -> str:
        keys = APIKey.objects.filter(service_user=OuterRef("pk"))
        kept = rows.filter(Exists(keys)).first()
        told = gettext("%(row)s has keys, which are its history: deactivate it instead.")
        return told % {"row": kept} if kept else ""

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Django's, but what the verb refuses is said beside what was typed."""
        try:
            return super().add_view(request, form_url, extra_context)
        except InvalidInput as error:
            self.message_user(request, str(error), messages.ERROR)
            names = ("name", "description", "contact_lines")
            typed = {name: request.POST[name] for name in names if name in request.POST}
            return HttpResponseRedirect(f"{request.path}?{urlencode(typed)}")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        context = context_of(request)
        if change:
            describe_service_user(obj, form.cleaned_data["description"], context=context)
            set_service_user_contacts(obj, form.cleaned_data["contact_lines"], context=context)
            if "ceiling" in form.fields:
                narrow = form.narrow_only
                scopes = form.wanted_ceiling()
                set_service_user_scopes(obj, scopes, narrow_only=narrow, context=context)
            return
        made = create_service_user(
            obj.name,
            description=obj.description,
            scopes=form.wanted_ceiling(),
            contacts=form.cleaned_data["contact_lines"],
            context=context,
        )
        vars(obj).update(vars(made))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_service_user(obj, context=context_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ServiceUser]) -> None:
        for row in queryset:
            delete_service_user(row, context=context_of(request))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the newest of its keys, and what else there is to know of them."""
        row = self.get_object(request, unquote(object_id))
        mine = APIKey.objects.filter(service_user=row).select_related("service_user__user")
        context = {
            "keys": newest_of(self, mine),
            "key_count": count_of(mine),
            "may_mint": self.admin_site.is_registered(APIKey) and may(request, "mint_apikey"),
            "may_see_keys": may_see(self.admin_site, APIKey, request),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description=_("ceiling"))
    def ceiling_text(self, row: ServiceUser) -> str:
        if row.scopes is None:
            return gettext("none is set")
        return ", ".join(row.scopes) or gettext("nothing")

    @admin.display(description=_("contacts"))
    def contacts_text(self, row: ServiceUser) -> str:
        return ", ".join(row.contacts) or "-"

    @admin.display(description=_("service user"))
    def title(self, row: ServiceUser) -> str:
        return row.name

    @admin.display(description=_("state"))
    def condition(self, row: ServiceUser) -> str:
        if row.is_usable:
            return badge("active", gettext("active"))
        if not row.is_active:
            return badge("disabled", gettext("deactivated"))
        if row.is_inactive:
            return badge("owner_inactive", gettext("its user is inactive"))
        return badge("owner_privileged", gettext("its user is staff or a superuser"))

    @admin.display(description=_("active keys"))
    def active_keys(self, row: Any) -> str:
        if row.counted_keys > MOST_OF_ONE:
            return gettext("more than %(n)s keys") % {"n": Count(MOST_OF_ONE)}
        count = row.live_keys if row.is_usable else 0
        return ngettext("%(n)d active key", "%(n)d active keys", count) % {"n": count}

    @admin.display(description=_("last use"))
    def last_use(self, row: Any) -> str:
        """Not told for too many keys: the list of its keys has a filter."""
        return "-" if row.counted_keys > MOST_OF_ONE else ago(row.used_at)

    @admin.display(description=_("Django user"))
    def account(self, row: ServiceUser) -> str:
        return self.link_to(row.user)

    @admin.display(description=_("Django user"))
    def account_name(self, row: ServiceUser) -> str:
        return username_of(row.user) or "-"
