"""Views that demand no scope: closed to credentials with scopes, unless they are marked.

``UNSCOPED_VIEWS`` is the setting. Each integration knows which of its views demand scopes; what
follows from that is decided here.
"""

from __future__ import annotations

from functools import wraps
from inspect import isclass
from typing import Any, TypeVar

from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.exceptions import UnscopedView
from pikku_auth.principal import Principal

View = TypeVar("View")

MARK = "_pikku_auth_any_key"
"""The attribute of marked views and requests, and the key of a WebSocket's scope."""


def any_key(view: View) -> View:
    """Open ``view`` to every good key and login, whatever scopes it has.

    For functions, classes, methods and viewset actions, above or below ``@api_view``; for what
    ``as_view()`` returns; for operations of django-ninja; for Channels consumers and what their
    ``as_asgi()`` returns. It adds no permission and removes none.
    """
    marked: Any = view
    if isclass(view) and hasattr(view, "as_asgi"):
        marked.__call__ = _marking_scope(marked.__call__)
    elif hasattr(view, "consumer_class"):
        marked = _marking_scope(view)
    elif hasattr(view, "cls") and not isclass(view):
        # Of REST framework's as_view(): the class may serve other routes, which stay closed.
        marked = _marking_request(view)
    setattr(marked, MARK, True)
    return marked  # type: ignore[no-any-return]  # as it came, or a function in its place


def is_marked(*places: Any) -> bool:
    """Whether one of ``places`` was decorated with :func:`any_key`."""
    return any(getattr(place, MARK, False) is True for place in places)


def is_view_marked(view: Any, method: str | None) -> bool:
    """Whether a view of plain Django is: the function, its class, or the class's method."""
    view_class = getattr(view, "view_class", None)
    name = "get" if method == "HEAD" else str(method).lower()
    return is_marked(view, view_class, getattr(view_class, name, None))


def is_closed_to(principal: Principal) -> bool:
    """Whether views that demand no scope are closed to ``principal``."""
    return principal.is_scoped and conf.unscoped_views != "open"


def require_scoped_view(principal: Principal, *, is_scoped: bool) -> None:
    """Refuse a credential with scopes where a view demands none and isn't marked.

    :raises UnscopedView: when it does.
    """
    if not is_scoped and is_closed_to(principal):
        raise UnscopedView


def _marking_request(view: Any) -> Any:
    @wraps(view)
    def marking(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        setattr(request, MARK, True)
        return view(request, *args, **kwargs)

    return marking


def _marking_scope(app: Any) -> Any:
    """Tell the middleware around a consumer, which sees no more of it than this call."""

    @wraps(app)
    async def marking(*args: Any) -> Any:
        scope = args[-3]
        scope.get(MARK, []).append(app)
        return await app(*args)

    return marking
