"""What ninja serves, found from the views that it makes."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

from django.http import HttpRequest
from ninja.operation import Operation, PathView

from pikku_auth.http.unscoped_views import is_marked


def operations_of(view: Any) -> list[Operation]:
    """The operations behind ``view``, one or more a path; none if ninja did not make it."""
    view = unwrap(view)
    if getattr(view, "__module__", None) != PathView.__module__:
        return []
    inside = [cell.cell_contents for cell in view.__closure__]
    return [
        operation
        for path_view in inside
        if isinstance(path_view, PathView)
        for operation in path_view.operations
    ]


def is_any_key(request: HttpRequest) -> bool:
    """Whether the operation that serves ``request`` is marked with ``any_key``."""
    match = request.resolver_match
    operations = operations_of(match.func) if match else []
    return any(
        is_marked(operation.view_func)
        for operation in operations
        if request.method in operation.methods
    )
