"""``UNSCOPED_VIEWS`` for REST framework: which views demand scopes, and who may call the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any

from rest_framework.permissions import AllowAny, DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.settings import api_settings

from pikku_auth.core.permissions import check_scopes
from pikku_auth.exceptions import UnscopedView
from pikku_auth.http.caller import require
from pikku_auth.http.unscoped_views import is_closed_to, is_marked, require_scoped_view
from pikku_auth.principal import Principal
from pikku_auth.rest_framework.permissions import HasScope, declared_scopes, declares_scopes

if TYPE_CHECKING:  # REST framework's views import the authentication classes
    from rest_framework.views import APIView

_KNOW_SCOPES = (HasScope, DjangoModelPermissions)

Admitted = tuple[Any, Principal | None]


def admitted(request: Request, principal: Principal) -> Admitted:
    """The user and the principal that the view gets.

    A view that lets anybody in gets an anonymous user where it is closed to ``principal``.
    Outside of a view, the code that asks has decided for itself.

    :raises UnscopedView: when the view is closed to ``principal``.
    :raises InsufficientScope: when it has ``required_scopes`` that nothing else looks at.
    """
    view = (request.parser_context or {}).get("view")
    if view is not None and is_closed_to(principal) and not is_any_key(view, request):
        # What an override of get_permissions() asks of the request must not lead back here.
        request.user, request.auth = principal.user, principal
        permissions = view.get_permissions()
        is_handled = _handler_of(view, request) is not None  # or else it is a 405
        if is_handled and not demands_scopes(permissions):
            return _admitted_without_demand(request, view, permissions, principal)
    return principal.user, principal


def _admitted_without_demand(
    request: Request, view: APIView, permissions: Iterable[Any], principal: Principal
) -> Admitted:
    if declares_scopes(view):
        _require_declared(request, view, principal)
        return principal.user, principal
    if all(type(permission) is AllowAny for permission in permissions):
        anonymous: Any = api_settings.UNAUTHENTICATED_USER
        return anonymous and anonymous(), None
    raise UnscopedView


def _require_declared(request: Request, view: APIView, principal: Principal) -> None:
    scopes = declared_scopes(request.method or "", view)
    try:
        check_scopes(scopes or ())
    except ValueError:  # the scopes of another package, such as django-oauth-toolkit
        scopes = None
    require_scoped_view(principal, is_scoped=scopes is not None)
    require(principal, scopes or ())


def demands_scopes(permissions: Iterable[Any]) -> bool:
    """Whether a permission that knows of scopes is among ``permissions``, or part of one."""
    return any(
        isinstance(part, _KNOW_SCOPES)
        for permission in permissions
        for part in parts_of(permission)
    )


def parts_of(permission: Any) -> Iterator[Any]:
    """The permissions that ``permission`` is composed of with ``&``, ``|`` and ``~``."""
    operands = [getattr(permission, name) for name in ("op1", "op2") if hasattr(permission, name)]
    if not operands:
        yield permission
    for operand in operands:
        yield from parts_of(operand)


def is_any_key(view: APIView, request: Request) -> bool:
    """Whether :func:`~pikku_auth.decorators.any_key` is on the view, or on what handles this."""
    return is_marked(request._request) or _is_marked(view, _handler_of(view, request))


def _handler_of(view: APIView, request: Request) -> Any:
    return getattr(view, str(request._request.method).lower(), None)


def is_declared_any_key(callback: Any, view: APIView, method: str) -> bool:
    """As :func:`is_any_key`, of a view in the URLconf that nobody has asked yet."""
    name = getattr(callback, "actions", None) or {}
    handler = getattr(view, name.get(method.lower(), method.lower()), None)
    return is_marked(callback) or _is_marked(view, handler)


def _is_marked(view: Any, handler: Any) -> bool:
    view_class: Any = type(view)
    return _is_function_marked(view_class, getattr(handler, "__func__", handler))


@lru_cache(maxsize=1024)
def _is_function_marked(view_class: Any, function: Any) -> bool:
    return is_marked(view_class, function, view_class.dispatch, *_wrapped_by(function))


def _wrapped_by(function: Any) -> list[Any]:
    """The function under ``@api_view``, which leaves no other trace of it than a closure."""
    if getattr(function, "__module__", None) != "rest_framework.decorators":
        return []
    return [getclosurevars(function).nonlocals.get("func")]
