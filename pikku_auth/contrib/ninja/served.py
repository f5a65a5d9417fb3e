"""What ninja serves, found from the views that it makes."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

from ninja.operation import Operation, PathView

from pikku_auth.contrib.ninja.auth import PikkuAuth


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


def guards_of(operation: Operation) -> list[PikkuAuth]:
    """The ``PikkuAuth`` in the ``auth`` of ``operation``."""
    return [auth for auth in operation.auth_callbacks if isinstance(auth, PikkuAuth)]
