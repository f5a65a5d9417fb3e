"""What the pages for people share: who may see them, how they are kept safe and how they look."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.templatetags.static import static
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from pikku_auth.http.access import HUMAN, declare
from pikku_auth.http.error_response import refusal_of_credentials
from pikku_auth.models.users import User, username_of
from pikku_auth.views.http import outside_atomic_requests, unstored

Page = Callable[[HttpRequest], HttpResponse]


def for_people(answer: Page) -> Page:
    """Make a page of ``answer``: for a browser's session, and for no key and no token.

    It asks for a CSRF token, goes into no frame and no cache, and decides itself about who is not
    signed in.
    """

    @require_http_methods(["GET", "HEAD", "POST"])
    @xframe_options_deny
    @csrf_protect
    @wraps(answer)
    def shown(request: HttpRequest) -> HttpResponse:
        return unstored(_secured(refusal_of_credentials(request) or answer(request)))

    view: Any = login_not_required(outside_atomic_requests(shown))
    view.handles_own_auth_errors = True  # what the middleware asks for
    declared: Page = declare(view, frozenset({HUMAN}), methods=["GET", "POST"])
    return declared


def render_page(
    request: HttpRequest, name: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render a template, without counting on any context processor of the host."""
    every = {"username": username_of(user_of(request)), "host": request.get_host()}
    return render(request, f"pikku_auth/{name}.html", every | (context or {}), status=status)


def to_login(request: HttpRequest, here: str, why: str) -> HttpResponse:
    """To the host's login page, and from there back to ``here``; ``why`` says so in words."""
    redirect = redirect_to_login(_from_login_page(here, request))
    if request.method != "POST":
        return redirect
    # Chromium holds `form-action` against redirects, too, and people may sign in elsewhere.
    response = render_page(request, "signed_out", {"login_url": redirect.url, "why": why})
    response["Refresh"] = f"0; url={redirect.url}"
    return response


def user_of(request: HttpRequest) -> User:
    """The signed-in user; on pages that need no sign-in, perhaps the anonymous one."""
    user: Any = request.user
    return user  # type: ignore[no-any-return]  # Django's anonymous user has a name, too


def _from_login_page(here: str, request: HttpRequest) -> str:
    """``here`` as Django's ``login_required`` names it: in full where people sign in elsewhere."""
    login_page = urlsplit(resolve_url(settings.LOGIN_URL))
    own = {"", f"{request.scheme}://{request.get_host()}", f"://{request.get_host()}"}
    is_own = f"{login_page.scheme}://{login_page.netloc}".removesuffix("://") in own
    return here if is_own else request.build_absolute_uri(here)


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
