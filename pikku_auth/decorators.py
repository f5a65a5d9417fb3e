"""What a plain Django view demands of its caller: a principal, or a browser's session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from inspect import isclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest

from pikku_auth.core.permissions import check_scopes
from pikku_auth.exceptions import Refused
from pikku_auth.flows import aauthenticate, authenticate
from pikku_auth.http.access import HUMAN, USER, declare
from pikku_auth.http.caller import admit, require
from pikku_auth.http.error_response import (
    refusal_of_credentials,
    response_to,
    told,
    vary_by_credential,
)
from pikku_auth.http.unscoped_views import any_key
from pikku_auth.principal import Principal

__all__ = [
    "PrincipalRequest",
    "any_key",
    "browser_session_required",
    "credentials_exempt",
    "require_principal",
]

if TYPE_CHECKING:
    from django.contrib.auth.models import _User

View = TypeVar("View", bound=Callable[..., Any])


class PrincipalRequest(HttpRequest):
    """The request that a view under :func:`require_principal` gets, for its annotations."""

    principal: Principal
    user: _User
    auser: Callable[[], Awaitable[_User]]


@overload
def require_principal(view: View) -> View: ...


@overload
def require_principal(*, scopes: Sequence[str] = ()) -> Callable[[View], View]: ...


def require_principal(view: Any = None, *, scopes: Sequence[str] = ()) -> Any:
    """Let only callers with a key or a login in, and only those with every one of ``scopes``.

    For functions and for classes of views, sync and async, with ``PikkuAuthMiddleware`` or
    without; decorate a class itself, without ``method_decorator``. The view finds
    ``request.principal``, and its user in ``request.user``. Others are refused in JSON, or with
    a page if that is what they prefer: 401 without a good credential, 403 without a scope, 429
    over a limit, 503 when the database is down.

    A session of the site's is no credential here. So no CSRF token is asked for, and Django's
    ``LoginRequiredMiddleware`` leaves the decision to this.

    :raises ValueError: when a scope is not of the grammar.
    :raises TypeError: when the scopes are given without their name.
    """
    if view is not None and not callable(view):
        raise TypeError('Name the scopes: @require_principal(scopes=["sandbox:read"]).')
    check_scopes(scopes)
    decorate = partial(_decorate, scopes=tuple(scopes))
    return decorate if view is None else decorate(view)


def browser_session_required(view: View) -> View:
    """As Django's ``login_required``, and no API key and no login token will do.

    For the pages by which a human's account could be taken over: password, second factor,
    e-mail address. A request that has a credential of ours, good or bad, is refused with 403,
    even beside a session. For functions and for classes of views, sync and async, with
    ``PikkuAuthMiddleware`` or without.
    """
    if not isclass(view):
        decorated: View = _for_browsers(view)
        return decorated
    of_views: Any = view
    dispatch = _dispatching_for_browsers(of_views.dispatch)
    of_views.dispatch = declare(dispatch, frozenset({HUMAN}))
    return view


def credentials_exempt(view: View) -> View:
    """Have ``PikkuAuthMiddleware`` leave a view alone: it has no principal, whatever was sent.

    For webhooks and health checks, whose callers send an ``x-api-key`` of another system. The
    user is the session's. For functions, sync and async, and for what ``as_view()`` returns;
    on a class with ``method_decorator(credentials_exempt, name="dispatch")``.
    """

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    @wraps(view)
    async def awrapped(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    exempt: Any = awrapped if iscoroutinefunction(view) else wrapped
    exempt.credentials_exempt = True
    return exempt  # type: ignore[no-any-return]


def _dispatching_for_browsers(dispatch: Any) -> Any:
    @wraps(dispatch)
    def dispatching(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        async def adispatch(request: Any, *args: Any, **kwargs: Any) -> Any:
            return await dispatch(self, request, *args, **kwargs)

        view = adispatch if self.view_is_async else partial(dispatch, self)
        return _for_browsers(view)(request, *args, **kwargs)

    return dispatching


def _for_browsers(view: Any) -> Any:
    inner: Any = login_required(view)

    @wraps(inner)
    def wrapped(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = refusal_of_credentials(request)
        return refusal or vary_by_credential(inner(request, *args, **kwargs))

    @wraps(inner)
    async def awrapped(request: Any, *args: Any, **kwargs: Any) -> Any:
        refusal = refusal_of_credentials(request)
        return refusal or vary_by_credential(await inner(request, *args, **kwargs))

    return declare(awrapped if iscoroutinefunction(view) else wrapped, frozenset({HUMAN}))


def _decorate(view: Any, scopes: Sequence[str]) -> Any:
    if isclass(view):
        # Django copies the attributes of dispatch to the view that it makes of a class.
        of_views: Any = view
        of_views.dispatch = _open(_dispatching(of_views.dispatch, scopes), scopes)
        return view
    wrap = _awrapped if iscoroutinefunction(view) else _wrapped
    return _open(wrap(view, scopes, 0), scopes)


def _dispatching(dispatch: Any, scopes: Sequence[str]) -> Any:
    """For a class and those that inherit from it, of which each may be sync or async."""
    sync_dispatch, async_dispatch = _wrapped(dispatch, scopes, 1), _awrapped(dispatch, scopes, 1)

    @wraps(dispatch)
    def dispatching(self: Any, *args: Any, **kwargs: Any) -> Any:
        chosen = async_dispatch if self.view_is_async else sync_dispatch
        return chosen(self, *args, **kwargs)

    return dispatching


def _wrapped(view: Any, scopes: Sequence[str], place: int) -> Any:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        request = args[place]
        try:
            admit(request, require(authenticate(request, source="django"), scopes))
        except Refused as refusal:
            return response_to(refusal, request)
        return told(view(*args, **kwargs), request)

    return wrapped


def _awrapped(view: Any, scopes: Sequence[str], place: int) -> Any:
    @wraps(view)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        request = args[place]
        try:
            admit(request, require(await aauthenticate(request, source="django"), scopes))
        except Refused as refusal:
            return response_to(refusal, request)
        return told(await view(*args, **kwargs), request)

    return wrapped


def _open(view: Any, scopes: Sequence[str]) -> Any:
    """Tell Django's own middleware that this view decides who may come in."""
    view.csrf_exempt = True
    view.login_required = False
    return declare(view, frozenset({USER, *scopes}))
