"""Checks of REST framework's views: which class is asked first, and whether anybody comes in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from rest_framework.permissions import OR, AllowAny
from rest_framework.settings import api_settings

from pikku_auth.http.routes import routes
from pikku_auth.rest_framework import PikkuAuthentication


def class_of_view_not_first() -> Iterator[CheckMessage]:
    """E015, once for each view with a list of its own; E006 is for the default list."""
    found = {(_name_of(view), list_): None for view, list_ in _lists_of_views()}
    for name, classes in found:
        before = _before_ours(classes)
        if before and list(classes) != list(api_settings.DEFAULT_AUTHENTICATION_CLASSES):
            yield Error(
                f"{name} lists {before.__name__} before PikkuAuthentication: it would answer for "
                "a request whose API key is bad, and turn 401 into 403.",
                hint="authentication_classes = [PikkuAuthentication, …]",
                id="pikku_auth.E015",
            )


def anybody_comes_in() -> Iterator[CheckMessage]:
    """W016."""
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    permissions: Any = api_settings.DEFAULT_PERMISSION_CLASSES
    if any(issubclass(class_, PikkuAuthentication) for class_ in classes) and all(
        _lets_anybody_in(permission()) for permission in permissions
    ):
        yield CheckWarning(
            "PikkuAuthentication is in DEFAULT_AUTHENTICATION_CLASSES, but "
            "DEFAULT_PERMISSION_CLASSES lets anybody in: a view without permission_classes of its "
            "own needs no key, and no login.",
            hint='REST_FRAMEWORK = {…, "DEFAULT_PERMISSION_CLASSES": '
            '["rest_framework.permissions.IsAuthenticated"]}',
            id="pikku_auth.W016",
        )


def _lists_of_views() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    for route in routes():
        view_class = getattr(route.view, "cls", None)
        if view_class is not None and hasattr(view_class, "authentication_classes"):
            given = getattr(route.view, "initkwargs", None) or {}
            own = given.get("authentication_classes", view_class.authentication_classes)
            yield view_class, tuple(own)


def _before_ours(classes: tuple[Any, ...]) -> Any:
    is_ours = [
        isinstance(class_, type) and issubclass(class_, PikkuAuthentication) for class_ in classes
    ]
    return classes[0] if any(is_ours[1:]) and not is_ours[0] else None


def _lets_anybody_in(permission: Any) -> bool:
    if isinstance(permission, OR):
        operands: Any = permission
        return _lets_anybody_in(operands.op1) or _lets_anybody_in(operands.op2)
    return type(permission) is AllowAny


def _name_of(view_class: Any) -> str:
    return f"{view_class.__module__}.{view_class.__name__}"
