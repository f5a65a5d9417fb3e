"""The page where people see their logins, and end them.

Each POST leads back to the page by GET, so that loading it anew ends nothing.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import logout
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pikku_auth.exceptions import BrowserSessionRequired
from pikku_auth.flows import live_logins, revoke_login, revoke_logins
from pikku_auth.flows.logins import open_logins
from pikku_auth.http.error_response import response_to
from pikku_auth.models import LoginSession
from pikku_auth.models.users import User
from pikku_auth.views.better_auth import BY_OWNER
from pikku_auth.views.callers import signed_in_user
from pikku_auth.views.http import context_of
from pikku_auth.views.pages import for_people, render_page, to_login

MOST_SHOWN = 100
"""Logins that the page shows. All of them can be ended."""

_SALT = "pikku_auth.ended"
_SECONDS_TOLD = 60
"""How long an address says how many logins were ended: nobody else can make such an address."""


@for_people
def logins(request: HttpRequest) -> HttpResponse:
    """See the devices that are logged in, end one, all others, or all."""
    here, step = reverse("pikku_auth:logins"), request.POST.get("step", "")
    if step == "sign-in-again":
        logout(request)
    user = signed_in_user(request)
    if user is None and request.user.is_authenticated:
        return response_to(BrowserSessionRequired(), request)
    if user is None:
        return to_login(request, here, _("Sign in to see your logins."))
    if request.method == "POST":
        ended = _end(request, user, step)
        told = signing.dumps([ended, str(user.pk)], salt=_SALT)
        return HttpResponseRedirect(f"{here}?ended={told}", status=303)
    return _shown(request, user)


def _end(request: HttpRequest, user: User, step: str) -> int:
    """Do what a button says; how many logins were ended by that."""
    context = context_of(request, user)
    if step == "end-all":
        return revoke_logins(user, reason=BY_OWNER, context=context)
    login = _named(request, user)
    if login is not None and step == "end-others":
        return revoke_logins(user, besides=login, reason=BY_OWNER, context=context)
    if login is not None and step == "end":
        return int(revoke_login(login, reason=BY_OWNER, context=context))
    return 0


def _named(request: HttpRequest, user: User) -> LoginSession | None:
    """The login whose button was pressed, if it is still theirs to end."""
    named = request.POST.get("login")
    return next((login for login in live_logins(user) if str(login.pk) == named), None)


def _shown(request: HttpRequest, user: User) -> HttpResponse:
    now = timezone.now()
    newest = list(open_logins([user], now=now)[: MOST_SHOWN + 1])
    live = [login for login in newest if login.invalid_reason(now) is None]
    context = {
        "logins": live[:MOST_SHOWN],
        "a_minute_ago": now - timedelta(minutes=1),
        "most": MOST_SHOWN if len(newest) > MOST_SHOWN else None,
        "told": _told(request, user),
    }
    return render_page(request, "logins", context)


def _told(request: HttpRequest, user: User) -> str:
    """What has just been done; empty for an address that we haven't made for ``user``."""
    try:
        ended, pk = signing.loads(request.GET.get("ended", ""), salt=_SALT, max_age=_SECONDS_TOLD)
    except signing.BadSignature:
        return ""
    if pk != str(user.pk):
        return ""
    if not ended:
        return _("It had ended already.")
    words = ngettext("%(count)s login was ended.", "%(count)s logins were ended.", ended)
    return words % {"count": ended}
