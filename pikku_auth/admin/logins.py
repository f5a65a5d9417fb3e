"""Logins: which humans are in from where, and the button that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import Action, ActionAdmin, ReasonForm, each
from pikku_auth.admin.base import context_of, register
from pikku_auth.admin.display import ago, ahead, badge, moment_of, short, some_of
from pikku_auth.admin.filters import RecentValuesFilter
from pikku_auth.flows import revoke_login
from pikku_auth.flows.device_flow.revoke import end_logins
from pikku_auth.flows.logins import open_logins
from pikku_auth.models import LoginSession
from pikku_auth.models.logins import is_over
from pikku_auth.models.users import username_of


def _revoke_all(
    modeladmin: Any, request: HttpRequest, rows: Sequence[LoginSession], given: dict[str, Any]
) -> int:
    context = context_of(request)
    users = {row.user for row in rows}
    ended = [login for user in users for login in end_logins(user, context=context, **given)]
    modeladmin.log_changes(request, ended, gettext("Ended."))
    return len(ended)


def _all_of_theirs(rows: Sequence[LoginSession]) -> list[LoginSession]:
    return list(open_logins({row.user for row in rows}))


def _owner(login: LoginSession) -> str:
    return username_of(login.user)


_OWNERS = ngettext_lazy("%(n)d user", "%(n)d users", "n")

ACTIONS = [
    Action(
        name="revoke",
        label=_("End"),
        question=ngettext_lazy("End %(n)d login of %(of)s?", "End %(n)d logins of %(of)s?", "n"),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Ended %(n)d login.", "Ended %(n)d logins.", "n"),
        meaning=_("Its token is refused from the next request on. The user can log in again."),
        permission="change_loginsession",
        run=each(revoke_login, _("Ended.")),
        form=ReasonForm,
        is_for=lambda login: login.revoked_at is None,
        is_dangerous=True,
    ),
    Action(
        name="revoke-all",
        label=_("End all of the user's"),
        question=ngettext_lazy(
            "End all logins of %(of)s, %(n)d in all?",
            "End all logins of %(of)s, %(n)d in all?",
            "n",
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Ended %(n)d login.", "Ended %(n)d logins.", "n"),
        meaning=_("Also those that are about to be fetched. The user can log in again."),
        permission="change_loginsession",
        run=_revoke_all,
        form=ReasonForm,
        widen=_all_of_theirs,
        is_dangerous=True,
    ),
]


class LoginStateFilter(admin.SimpleListFilter):
    """By whether a login is over. A password that was changed since is not looked at here."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("live")), ("revoked", _("ended")), ("expired", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        wanted = {
            "live": Q(revoked_at=None) & ~is_over(now),
            "revoked": Q(revoked_at__isnull=False),
            "expired": Q(revoked_at=None) & is_over(now),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


@register(LoginSession)
class LoginSessionAdmin(ActionAdmin):
    """Which humans are logged in from where.

    Who may change logins may end them; the permission changes nothing else.
    """

    row_actions = ACTIONS
    action_columns = ("login", "human", "condition", "last_used")
    list_display = ("login", "human", "some_scopes", "condition", "ip", "last_used", "expires")
    first_row = _(
        "No logins yet. One appears here after somebody runs “pikku-auth login --url %(url)s” in a "
        "terminal and approves it in a browser."
    )
    linked = {"human": get_user_model()}
    list_select_related = ("user",)
    list_filter = (LoginStateFilter, ("client_id", RecentValuesFilter))
    search_help_text = _("How a token, its client or its user begins.")
    ordering = ("-pk",)
    fields = (
        "preview",
        "human",
        "client_id",
        "condition",
        "scope_list",
        ("created", "expiry", "latest_end"),
        ("ip", "user_agent"),
        ("use", "last_used_ip"),
        ("ended", "revoke_reason"),
    )
    created = moment_of("created_at", _("created at"))
    expiry = moment_of("expires_at", _("expires at"))
    latest_end = moment_of("max_expires_at", _("ends at the latest"))
    use = moment_of("last_used_at", _("last used at"))
    ended = moment_of("revoked_at", _("ended at"))

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["preview", "client_id", f"user__{get_user_model().USERNAME_FIELD}"]

    @admin.display(description=_("user"))
    def human(self, login: LoginSession) -> str:
        return self.link_to(login.user)

    @admin.display(description=_("user"))
    def human_name(self, login: LoginSession) -> str:
        return username_of(login.user)

    @admin.display(description=_("login"))
    def login(self, login: LoginSession) -> str:
        client = short(login.client_id, 40)
        return format_html("{}<br><code>{}…</code>", client, login.preview)

    @admin.display(description=_("scopes asked for"))
    def some_scopes(self, login: LoginSession) -> str:
        return some_of(login.requested_scopes) or self.scope_list(login)

    @admin.display(description=_("scopes asked for"))
    def scope_list(self, login: LoginSession) -> str:
        if login.permissions is None:
            return gettext("all that the user is given")
        return ", ".join(login.requested_scopes) or gettext("none that this site has")

    @admin.display(description=_("state"))
    def condition(self, login: LoginSession) -> str:
        """What the verb would say; the reason of a refusal as a word."""
        words = {
            None: ("active", gettext("live")),
            "revoked": ("revoked", gettext("ended")),
            "expired": ("expired", gettext("expired")),
            "owner_inactive": ("owner_inactive", gettext("user inactive")),
            "password_changed": ("expired", gettext("password changed")),
        }
        return badge(*words[login.invalid_reason(timezone.now())])

    @admin.display(description=_("last used"))
    def last_used(self, login: LoginSession) -> str:
        return ago(login.last_used_at)

    @admin.display(description=_("expires"))
    def expires(self, login: LoginSession) -> str:
        return ahead(login.expires_at)
