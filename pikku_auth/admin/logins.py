"""Logins: which humans are in from where, and the button that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import Act, ActingAdmin, ReasonForm, each
from pikku_auth.admin.base import origin_of, register
from pikku_auth.admin.display import ago, ahead, badge
from pikku_auth.flows import revoke_login
from pikku_auth.flows.logins import end_logins, open_logins
from pikku_auth.models import LoginSession
from pikku_auth.models.logins import is_over
from pikku_auth.models.usernames import username_of


def _revoke_all(
    modeladmin: Any, request: HttpRequest, rows: Sequence[LoginSession], given: dict[str, Any]
) -> int:
    origin = origin_of(request)
    users = {row.user for row in rows}
    ended = [login for user in users for login in end_logins(user, origin=origin, **given)]
    modeladmin.log_acts(request, ended, gettext("Revoked."))
    return len(ended)


def _all_of_theirs(rows: Sequence[LoginSession]) -> list[LoginSession]:
    return list(open_logins({row.user for row in rows}))


ACTS = [
    Act(
        name="revoke",
        label=_("Revoke"),
        question=ngettext_lazy("Revoke %(n)d login?", "Revoke %(n)d logins?", "n"),
        done=ngettext_lazy("Ended %(n)d login.", "Ended %(n)d logins.", "n"),
        meaning=_("Its token is refused from the next request on. The user can log in again."),
        permission="change_loginsession",
        run=each(revoke_login, _("Revoked.")),
        form=ReasonForm,
        is_for=lambda login: login.revoked_at is None,
        is_dangerous=True,
    ),
    Act(
        name="revoke-all",
        label=_("Revoke all of the user's"),
        question=ngettext_lazy(
            "Revoke all logins of the user, %(n)d in all?",
            "Revoke all logins of the user, %(n)d in all?",
            "n",
        ),
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
        return [("live", _("live")), ("revoked", _("revoked")), ("expired", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        wanted = {
            "live": Q(revoked_at=None) & ~is_over(now),
            "revoked": Q(revoked_at__isnull=False),
            "expired": Q(revoked_at=None) & is_over(now),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


@register(LoginSession)
class LoginSessionAdmin(ActingAdmin):
    """Which humans are logged in from where.

    Who may change logins may end them; the permission changes nothing else.
    """

    acts = ACTS
    act_columns = ("login", "human", "condition", "last_used")
    list_display = (
        "start",
        "human",
        "client_id",
        "scope_list",
        "condition",
        "ip",
        "last_used",
        "expires",
    )
    linked = {"human": get_user_model()}
    list_select_related = ("user",)
    list_filter = (LoginStateFilter, "client_id")
    ordering = ("-pk",)
    fields = (
        "start",
        "human",
        "client_id",
        "condition",
        "scope_list",
        ("created_at", "expires_at", "latest_end"),
        ("ip", "user_agent"),
        ("last_used_at", "last_used_ip"),
        ("revoked_at", "revoke_reason"),
    )

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["start", "client_id", f"user__{get_user_model().USERNAME_FIELD}"]

    @admin.display(description=_("user"))
    def human(self, login: LoginSession) -> str:
        return self.link_to(login.user)

    @admin.display(description=_("user"))
    def human_name(self, login: LoginSession) -> str:
        return username_of(login.user)

    @admin.display(description=_("login"))
    def login(self, login: LoginSession) -> str:
        return str(login)

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
            "revoked": ("revoked", gettext("revoked")),
            "expired": ("expired", gettext("expired")),
            "owner_inactive": ("owner_inactive", gettext("user inactive")),
            "password_changed": ("expired", gettext("password changed")),
        }
        return badge(*words[login.invalid_reason(timezone.now())])

    @admin.display(description=_("last used"), ordering="last_used_at")
    def last_used(self, login: LoginSession) -> str:
        return ago(login.last_used_at)

    @admin.display(description=_("ends at the latest"))
    def latest_end(self, login: LoginSession) -> datetime | None:
        return login.max_expires_at

    @admin.display(description=_("expires"), ordering="expires_at")
    def expires(self, login: LoginSession) -> str:
        return ahead(login.expires_at)
