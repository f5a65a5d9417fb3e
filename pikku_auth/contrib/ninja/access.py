"""Who gets into the operations of django-ninja."""

from __future__ import annotations

from typing import Any

from ninja.operation import Operation
from ninja.security.session import SessionAuth

from pikku_auth.conf import conf
from pikku_auth.contrib.ninja.auth import PikkuNinjaAuth
from pikku_auth.contrib.ninja.operations import operations_of
from pikku_auth.http.access import (
    ANYBODY,
    HUMAN,
    UNKNOWN,
    USER,
    Access,
    Way,
    access,
    keys_reach_undeclared,
)
from pikku_auth.http.routes import Route
from pikku_auth.http.unscoped_views import is_marked


def access_to_operations(route: Route) -> list[Access] | None:
    """One entry a method of each operation, for a view of ninja's."""
    found = [
        access(method, _ways(operation), keys_come_in=True)
        for operation in operations_of(route.view)
        for method in operation.methods
    ]
    return found or None


def _ways(operation: Operation) -> list[Way]:
    if not operation.auth_callbacks:
        return [ANYBODY]
    return [_way(auth, operation) for auth in operation.auth_callbacks]


def _way(auth: Any, operation: Operation) -> Way:
    if isinstance(auth, PikkuNinjaAuth):
        opens = auth.names_scopes or is_marked(operation.view_func)
        is_open = opens or conf.unscoped_views == "open"
        return frozenset({USER if is_open else HUMAN, *auth.scopes})
    if type(auth) is SessionAuth:
        return frozenset({USER if keys_reach_undeclared() else HUMAN})
    return frozenset({UNKNOWN} if keys_reach_undeclared() else {UNKNOWN, HUMAN})
