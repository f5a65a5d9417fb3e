"""The one page a human sees: which device asks for what, and whether to let it in.

Nothing changes by GET: a prefetched link claims no code. The decision is bound to the
human who looked the code up, and comes with a CSRF token.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import logout
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pikku_auth.core.permissions import AUTH, Permissions
from pikku_auth.core.text import readable
from pikku_auth.core.user_codes import format_user_code, normalise_user_code
from pikku_auth.exceptions import DeviceFlowError, NothingGranted, TooManyAttempts
from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.database import primary
from pikku_auth.flows.device_flow import approve, claim, deny, look_up, release
from pikku_auth.flows.login_scopes import Offer, offer_to
from pikku_auth.flows.sign_in import is_fresh, signed_in_at
from pikku_auth.models import DeviceCode
from pikku_auth.views.callers import signed_in_user
from pikku_auth.views.http import context_of
from pikku_auth.views.pages import for_people, render_page, to_login, user_of

_TICKET_SALT = "pikku_auth.ticket"
_TICKET_AGE = timedelta(minutes=5)


@for_people
def activate(request: HttpRequest) -> HttpResponse:
    """Enter the code, see what is asking, approve or deny."""
    step, user = request.POST.get("step"), user_of(request)
    if step == "sign-in-again":
        if (found := _device_of_ticket(request)) is not None:
            release(found, user)
        logout(request)
        return _to_login(request)
    if signed_in_user(request) is None:
        return _to_sign_in_again(request) if request.user.is_authenticated else _to_login(request)
    if step in {"approve", "deny"}:
        return _decide(request, step)
    if not _is_fresh(request, {}):
        return _to_sign_in_again(request)
    return _look_up(request) if request.method == "POST" else _ask_for_code(request)


def _to_login(request: HttpRequest) -> HttpResponse:
    """To the host's login page, and from there back to the code."""
    code = _code(_typed(request))
    here = reverse("pikku_auth:activate") + (f"?{urlencode({'user_code': code})}" if code else "")
    return to_login(request, here, _("Sign in to go on with your code."))


def _ask_for_code(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    return _page(request, "enter_code", {"problem": problem}, status)


def _look_up(request: HttpRequest) -> HttpResponse:
    try:
        return _looked_up(request)
    except TooManyAttempts as refusal:
        return _too_many(request, refusal)


def _looked_up(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    try:
        found = look_up(request.POST.get("user_code", ""), user=user, ip=address_of(request))
    except DeviceFlowError as error:
        if error.error == "expired_token":
            return _problem(request, error)
        wrong = _("There is no such code. Compare it with the one in your terminal.")
        return _ask_for_code(request, wrong, 400)
    if found.status != DeviceCode.Status.PENDING:
        return _problem(request, DeviceFlowError("invalid_request", "Device code used"))
    offer = offer_to(user, found.requested)
    if not _is_fresh(request, offer.permissions):
        return _to_sign_in_again(request)
    if not claim(found, user):
        return _problem(request, DeviceFlowError("access_denied", "Not yours", 403))
    return _page(request, "confirm", _what_is_asking(request, found, offer))


def _is_fresh(request: HttpRequest, permissions: Permissions) -> bool:
    return is_fresh(signed_in_at(request.session), timezone.now(), permissions)


def _what_is_asking(request: HttpRequest, found: DeviceCode, offer: Offer) -> dict[str, Any]:
    own_address = address_of(request)
    return {
        "device": found,
        "permissions": offer.permissions,
        "key_actions": offer.permissions.get(AUTH, []),
        "missing": offer.missing,
        "is_approvable": offer.is_approvable,
        "may_log_in": offer.may_log_in,
        "is_just_now": timezone.now() - found.created_at < timedelta(minutes=1),
        "own_address": own_address,
        "is_elsewhere": found.ip != own_address,
        "ticket": signing.dumps([found.pk, str(request.user.pk)], salt=_TICKET_SALT),
    }


def _decide(request: HttpRequest, step: str) -> HttpResponse:
    found = _device_of_ticket(request)
    if found is None:
        return _problem(request, DeviceFlowError("bad_ticket", "Too late, or somebody else's"))
    context, user = context_of(request), user_of(request)
    try:
        if step == "approve":
            approve(found, user, signed_in_at=signed_in_at(request.session), context=context)
        else:
            deny(found, user, context=context)
    except NothingGranted as error:
        offer = offer_to(user, found.requested)
        return _page(request, "confirm", _what_is_asking(request, found, offer), error.status)
    except DeviceFlowError as error:
        if error.error == "insufficient_user_authentication":
            return _to_sign_in_again(request)
        return _problem(request, error)
    return _page(request, "decided", {"device": found, "approved": step == "approve"})


def _device_of_ticket(request: HttpRequest) -> DeviceCode | None:
    """The code that this human looked up a moment ago."""
    try:
        pk, user_pk = signing.loads(
            request.POST.get("ticket", ""), salt=_TICKET_SALT, max_age=_TICKET_AGE
        )
    except signing.BadSignature:
        return None
    if user_pk != str(request.user.pk):
        return None
    return DeviceCode.objects.using(primary()).filter(pk=pk).first()


def _to_sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask first: many login pages redirect a user who is still signed in straight back."""
    return _page(request, "sign_in_again", {"ticket": request.POST.get("ticket", "")})


def _too_many(request: HttpRequest, refusal: TooManyAttempts) -> HttpResponse:
    minutes = -(-(refusal.retry_after or 60) // 60)
    wait = ngettext("Wait %(minutes)s minute.", "Wait %(minutes)s minutes.", minutes)
    context = {
        "title": _("Too many codes"),
        "advice": wait % {"minutes": minutes},
        "more": _("Then start the login again in your terminal, and enter the new code."),
    }
    response = _page(request, "problem", context, 429)
    response["Retry-After"] = str(refusal.retry_after)
    return response


def _problem(request: HttpRequest, error: DeviceFlowError) -> HttpResponse:
    """What is wrong with a code, and what to do about it."""
    again = _("Start the login again in your terminal, and enter the new code.")
    title, advice, more = {
        "expired_token": (
            _("This code has expired"),
            _("Codes are good for a few minutes only."),
            again,
        ),
        "access_denied": (
            _("This code is not yours"),
            _("Somebody who is signed in as another user has entered it before you."),
            again,
        ),
        "bad_ticket": (
            _("This page is too old"),
            _("You took longer than five minutes, or you were signed in as somebody else."),
            _("Enter the code once more."),
        ),
        "invalid_request": (
            _("This code has been used already"),
            _("If you approved or denied it a moment ago, that counts, and you are done."),
            _("Otherwise start the login again in your terminal, and enter the new code."),
        ),
    }[error.error]
    context = {"title": title, "advice": advice, "more": more}
    return _page(request, "problem", context, error.status)


def _typed(request: HttpRequest) -> str:
    return request.POST.get("user_code") or request.GET.get("user_code", "")


def _code(typed: str) -> str:
    """The code as its terminal shows it; empty for what can't be one."""
    code = normalise_user_code(typed)
    return format_user_code(code) if code else ""


def _page(
    request: HttpRequest, name: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    typed = _typed(request)
    every = {
        "code": _code(typed),
        "typed": _code(typed) or readable(request.POST.get("user_code", ""))[:20],
    }
    return render_page(request, name, every | (context or {}), status)
