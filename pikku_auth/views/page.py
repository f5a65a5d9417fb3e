"""The one page a human sees: which device asks for what, and whether to let it in.

Nothing changes by GET: a prefetched link claims no code. The decision is bound to the
human who looked the code up, and comes with a CSRF token.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from pikku_auth.conf import conf
from pikku_auth.core.user_codes import format_user_code, normalise_user_code
from pikku_auth.exceptions import DeviceFlowError, TooManyAttempts
from pikku_auth.flows import approve, claim, deny, look_up
from pikku_auth.flows.resolver import address_of
from pikku_auth.models import DeviceCode
from pikku_auth.views.http import origin_of, unstored

_TICKET_SALT = "pikku_auth.ticket"
_TICKET_AGE = timedelta(minutes=5)


@require_http_methods(["GET", "HEAD", "POST"])
@xframe_options_deny
@csrf_protect
def activate(request: HttpRequest) -> HttpResponse:
    """Enter the code, see what is asking, approve or deny."""
    return unstored(_secured(_answer(request)))


def _answer(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if request.method != "POST":
        return _ask_for_code(request)
    step = request.POST.get("step")
    if step == "sign-in-again":
        logout(request)
        return redirect_to_login(request.get_full_path())
    if _signed_in_long_ago(request.user):
        return render(request, "pikku_auth/sign_in_again.html")
    if step in {"approve", "deny"}:
        return _decide(request, step)
    return _look_up(request)


def _ask_for_code(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    typed = request.POST.get("user_code") or request.GET.get("user_code", "")
    code = normalise_user_code(typed)
    context = {"user_code": format_user_code(code) if code else typed[:20], "problem": problem}
    return render(request, "pikku_auth/enter_code.html", context, status=status)


def _look_up(request: HttpRequest) -> HttpResponse:
    user, typed = request.user, request.POST.get("user_code", "")
    try:
        found = look_up(typed, user=user, ip=address_of(request))
    except TooManyAttempts as refusal:
        return _too_many(request, refusal)
    except DeviceFlowError as error:
        return _ask_for_code(request, _in_words(error), status=400)
    if found.status != DeviceCode.Status.PENDING:
        return _over(request, _("This code has been used already."))
    if not claim(found, user):
        return _over(request, _("This code belongs to somebody else."), status=403)
    context = {
        "device": found,
        "user_code": format_user_code(normalise_user_code(typed) or ""),
        "scopes": found.scope.split(),
        "ticket": signing.dumps([found.pk, str(user.pk)], salt=_TICKET_SALT),
    }
    return render(request, "pikku_auth/confirm.html", context)


def _decide(request: HttpRequest, step: str) -> HttpResponse:
    found = _device_of_ticket(request)
    if found is None:
        return _over(request, _("You took too long, or this page is not yours."))
    verb = approve if step == "approve" else deny
    try:
        verb(found, request.user, origin=origin_of(request))
    except DeviceFlowError as error:
        return _over(request, _in_words(error))
    context = {"device": found, "approved": step == "approve"}
    return render(request, "pikku_auth/decided.html", context)


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
    return DeviceCode.objects.filter(pk=pk).first()


def _signed_in_long_ago(user: Any) -> bool:
    age = conf.fresh_sign_in
    return age is not None and (user.last_login is None or timezone.now() - user.last_login > age)


def _too_many(request: HttpRequest, refusal: TooManyAttempts) -> HttpResponse:
    minutes = -(-(refusal.retry_after or 60) // 60)
    text = _("Too many wrong codes. Try again in %(minutes)s minutes.") % {"minutes": minutes}
    response = _over(request, text, status=429)
    response["Retry-After"] = str(refusal.retry_after)
    return response


def _over(request: HttpRequest, problem: str, status: int = 400) -> HttpResponse:
    return render(request, "pikku_auth/problem.html", {"problem": problem}, status=status)


def _in_words(error: DeviceFlowError) -> str:
    words = {
        "expired_token": _("This code has expired."),
        "access_denied": _("This code belongs to somebody else."),
        "Invalid user code": _("There is no such code. Compare it with the one in your terminal."),
    }
    found = words.get(error.error) or words.get(error.description)
    return found or _("This code has been used already.")


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
