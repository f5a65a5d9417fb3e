"""Who gets into the views of REST framework."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from types import SimpleNamespace
from typing import Any

from rest_framework import permissions
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.views import APIView

from pikku_auth.conf import conf
from pikku_auth.core.permissions import check_scopes
from pikku_auth.http.access import (
    ANYBODY,
    HUMAN,
    STAFF,
    UNKNOWN,
    USER,
    Access,
    Way,
    access,
    keys_reach_undeclared,
)
from pikku_auth.http.routes import Route
from pikku_auth.rest_framework.authentication import PikkuAuthentication
from pikku_auth.rest_framework.permissions import HasScope, declared_scopes, declares_scopes
from pikku_auth.rest_framework.unscoped import demands_scopes, is_declared_any_key

UNSURE: list[Way] = [frozenset({UNKNOWN})]


def access_to_view(route: Route) -> list[Access] | None:
    """One entry a method, for a view of REST framework."""
    view_class = getattr(route.view, "cls", None)
    if not (isinstance(view_class, type) and issubclass(view_class, APIView)):
        return None
    return [_by_method(route.view, method) for method in _methods_of(route.view)]


def _methods_of(callback: Any) -> list[str]:
    actions = getattr(callback, "actions", None) or {
        name: name for name in callback.cls.http_method_names if hasattr(callback.cls, name)
    }
    return [name.upper() for name in actions if name not in ("head", "options")]


def _by_method(callback: Any, method: str) -> Access:
    view = _view_for(callback, method)
    try:
        asked = view.get_permissions()
        authenticators = view.get_authenticators()
    except Exception:  # noqa: BLE001  # a host's code, which asked for a real request
        return access(method, UNSURE, keys_come_in=True)
    ways = _all_of(_ways(permission, method, view) for permission in asked)
    if type(view).check_permissions is not APIView.check_permissions:
        ways = UNSURE
    if not _sees_keys(authenticators):
        return access(method, ways, keys_come_in=False)
    is_declared = demands_scopes(asked) or is_declared_any_key(callback, view, method)
    if is_declared or conf.unscoped_views == "open":
        return access(method, ways, keys_come_in=True)
    return _unscoped(method, view, ways)


def _unscoped(method: str, view: Any, ways: list[Way]) -> Access:
    """Of a view with ``required_scopes`` that no permission looks at, or with none."""
    scopes = declared_scopes(method, view) if declares_scopes(view) else None
    try:
        check_scopes(scopes or ())
    except ValueError:  # the scopes of another package
        scopes = None
    if scopes is None or ANYBODY in ways:
        return access(method, ways, keys_come_in=False)
    with_scopes = [way | {USER, *scopes} for way in ways]
    humans = [way - {USER} | {HUMAN} for way in ways]
    return access(method, [*with_scopes, *humans], keys_come_in=True)


def _view_for(callback: Any, method: str) -> Any:
    """A view as it is when its permissions are asked for; its request has a method, and no more."""
    view = callback.cls(**callback.initkwargs)
    view.args, view.kwargs, view.format_kwarg = (), {}, None
    view.request = SimpleNamespace(method=method)
    view.action_map = getattr(callback, "actions", None) or {}
    if view.action_map:
        view.action = view.action_map[method.lower()]
    return view


def _sees_keys(authenticators: Iterable[Any]) -> bool:
    kinds = PikkuAuthentication
    return any(
        isinstance(authenticator, kinds)
        or (isinstance(authenticator, SessionAuthentication) and keys_reach_undeclared())
        for authenticator in authenticators
    )


def _all_of(parts: Iterable[list[Way]]) -> list[Way]:
    return [frozenset().union(*chosen) for chosen in product(*parts)]


def _ways(permission: Any, method: str, view: Any) -> list[Way]:
    match permission:
        case permissions.AND():
            operands: Any = permission
            return _all_of(_ways(part, method, view) for part in (operands.op1, operands.op2))
        case permissions.OR():
            operands = permission
            return [*_ways(operands.op1, method, view), *_ways(operands.op2, method, view)]
    rule = getattr(type(permission), "has_permission", None)
    if rule is HasScope.has_permission:
        return _ways_by_scope(permission, method, view)
    if rule is permissions.DjangoModelPermissions.has_permission:
        return _ways_by_model(permission, method, view)
    if rule is permissions.IsAuthenticatedOrReadOnly.has_permission and method in SAFE_METHODS:
        return [ANYBODY]
    return _RULES.get(rule, UNSURE) if _says_all(permission, rule) else UNSURE


_RULES: dict[Any, list[Way]] = {
    BasePermission.has_permission: [ANYBODY],
    permissions.AllowAny.has_permission: [ANYBODY],
    permissions.IsAuthenticated.has_permission: [frozenset({USER})],
    permissions.IsAuthenticatedOrReadOnly.has_permission: [frozenset({USER})],
    permissions.IsAdminUser.has_permission: [frozenset({STAFF})],
}


def _says_all(permission: Any, rule: Any) -> bool:
    """Whether the rule is all, and not one for objects that narrows a rule for anybody."""
    own = type(permission).has_object_permission
    return own is BasePermission.has_object_permission or _RULES.get(rule) != [ANYBODY]


def _ways_by_scope(permission: HasScope, method: str, view: Any) -> list[Way]:
    try:
        scopes = permission.required_scopes(method, view)
    except Exception:  # noqa: BLE001  # whatever is wrong with it, a request would hear of it
        return UNSURE
    return [] if scopes is None else [frozenset({USER, *scopes})]


def _ways_by_model(permission: Any, method: str, view: Any) -> list[Way]:
    try:
        model = permission._queryset(view).model  # noqa: SLF001  # what has_permission itself asks
        needed = permission.get_required_permissions(method, model)
    except Exception:  # noqa: BLE001  # the queryset depends on the request
        return UNSURE
    if not needed and not permission.authenticated_users_only:
        return [ANYBODY]
    return [frozenset({USER, *(f"perm:{name}" for name in needed)})]
