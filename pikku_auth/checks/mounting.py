"""Checks of what is missing: a way in for credentials, and a page where people sign in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve
from rest_framework.settings import api_settings

from pikku_auth.http.access import DECLARED, USER, is_behind_our_middleware
from pikku_auth.http.routes import Route, routes
from pikku_auth.rest_framework import PikkuAuthentication


def nothing_asks_for_credentials() -> Iterator[CheckMessage]:
    """W021."""
    if any(routes()) and not (_is_default() or is_behind_our_middleware() or _is_in_a_view()):
        yield CheckWarning(
            "Nothing here accepts an API key or a login token: no default of REST framework, no "
            "middleware, and no view.",
            hint='REST_FRAMEWORK = {…, "DEFAULT_AUTHENTICATION_CLASSES": '
            '["pikku_auth.rest_framework.PikkuAuthentication", …]}, or list '
            '"pikku_auth.middleware.PikkuAuthMiddleware" in MIDDLEWARE.',
            id="pikku_auth.W021",
        )


def nowhere_to_sign_in() -> Iterator[CheckMessage]:
    """W022: people come to the approval page from a terminal, and may not be signed in."""
    if not any("pikku_auth" in route.app_names for route in routes()):
        return
    try:
        _require_page(resolve_url(settings.LOGIN_URL))
    except (NoReverseMatch, Resolver404):
        yield CheckWarning(
            f"LOGIN_URL is {str(settings.LOGIN_URL)!r}, which leads to no page here: people who "
            "approve a login could not sign in.",
            hint='Set LOGIN_URL to your page for signing in, for example "admin:login".',
            id="pikku_auth.W022",
        )


def _require_page(address: str) -> None:
    """Insist that an address of this site is one.

    :raises django.urls.Resolver404: when it isn't.
    """
    parts = urlsplit(address)
    if not parts.netloc:
        resolve(f"/{parts.path.removeprefix(get_script_prefix()).lstrip('/')}")


def _is_default() -> bool:
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    return any(map(_is_authentication, classes))


def _is_authentication(class_: object) -> bool:
    return isinstance(class_, type) and issubclass(class_, PikkuAuthentication)


def _is_in_a_view() -> bool:
    """Also where it can't be seen: in a WebSocket's application."""
    if getattr(settings, "ASGI_APPLICATION", None) and find_spec("channels") is not None:
        return True
    return any(map(_takes_credentials, routes()))


def _takes_credentials(route: Route) -> bool:
    if "pikku_auth" in route.app_names:
        return False  # whoami alone is no use
    view = route.view
    classes = getattr(getattr(view, "cls", None), "authentication_classes", ())
    is_declared = any(USER in way for way in getattr(view, DECLARED, ()))
    return any(map(_is_authentication, classes)) or is_declared or _is_ninjas(view)


def _is_ninjas(view: Any) -> bool:
    return str(getattr(view, "__module__", "")).startswith("ninja.")
