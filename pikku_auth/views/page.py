"""The one page a human sees: which device asks for what, and whether to let it in.

Nothing changes by GET: a prefetched link claims no code. The decision is bound to the
human who looked the code up, and comes with a CSRF token.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from pikku_auth.core.permissions import AUTH, Permissions
from pikku_auth.core.text import readable
from pikku_auth.core.user_codes import format_user_code, normalise_user_code
from pikku_auth.exceptions import DeviceFlowError, NothingGranted, TooManyAttempts
from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.database import primary
from pikku_auth.flows.device_flow import approve, claim, deny, look_up, release
from pikku_auth.flows.login_scopes import Offer, offer_to
from pikku_auth.flows.sign_in import is_fresh, signed_in_at
from pikku_auth.http.access import HUMAN, declare
from pikku_auth.http.error_response import refusal_of_credentials
from pikku_auth.models import DeviceCode
from pikku_auth.models.users import User, username_of
from pikku_auth.views.callers import signed_in_user
from pikku_auth.views.http import context_of, outside_atomic_requests, unstored

_TICKET_SALT = "pikku_auth.ticket"
_TICKET_AGE = timedelta(minutes=5)


@login_not_required
@outside_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@xframe_options_deny
@csrf_protect
def activate(request: HttpRequest) -> HttpResponse:
    """Enter the code, see what is asking, approve or deny."""
    return unstored(_secured(_answer(request)))


declare(activate, frozenset({HUMAN}), methods=["GET", "POST"])
activate.handles_own_auth_errors = True  # type: ignore[attr-defined]  # what the middleware asks for


def _answer(request: HttpRequest) -> HttpResponse:
    if (refusal := refusal_of_credentials(request)) is not None:
        return refusal
    step, user = request.POST.get("step"), _user_of(request)
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
    redirect = redirect_to_login(_from_login_page(here, request))
    if request.method != "POST":
        return redirect
    # Chromium holds `form-action` against redirects, too, and people may sign in elsewhere.
    response = _page(request, "signed_out", {"login_url": redirect.url})
    response["Refresh"] = f"0; url={redirect.url}"
    return response


def _from_login_page(here: str, request: HttpRequest) -> str:
    """``here`` as Django's ``login_required`` names it: in full where people sign in elsewhere."""
    login_page = urlsplit(resolve_url(settings.LOGIN_URL))
    own = {"", f"{request.scheme}://{request.get_host()}", f"://{request.get_host()}"}
    is_own = f"{login_page.scheme}://{login_page.netloc}".removesuffix("://") in own
    return here if is_own else request.build_absolute_uri(here)


def _ask_for_code(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    return _page(request, "enter_code", {"problem": problem}, status)


def _look_up(request: HttpRequest) -> HttpResponse:
    try:
        return _looked_up(request)
    except TooManyAttempts as refusal:
        return _too_many(request, refusal)


def _looked_up(request: HttpRequest) -> HttpResponse:
    user = _user_of(request)
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


def _user_of(request: HttpRequest) -> User:
    """The signed-in user; on pages that need no sign-in, perhaps the anonymous one."""
    user: Any = request.user
    return user  # type: ignore[no-any-return]  # Django's anonymous user has a name, too


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
    context, user = context_of(request), _user_of(request)
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
    """Render a template, without counting on any context processor of the host."""
    user, typed = _user_of(request), _typed(request)
    every = {
        "username": username_of(user),
        "host": request.get_host(),
        "code": _code(typed),
        "typed": _code(typed) or readable(request.POST.get("user_code", ""))[:20],
    }
    return render(request, f"pikku_auth/{name}.html", every | (context or {}), status=status)


def _secured(response: HttpResponse) -> HttpResponse:
    """No script, no frame, nothing from elsewhere but the host's own style sheet."""
    style = urlsplit(static("pikku_auth/pages.css"))
    source = f"{style.scheme}://{style.netloc}" if style.netloc else "'self'"
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'none'; style-src {source}; img-src {source}; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
    )
    response["Referrer-Policy"] = "same-origin"
    return response
