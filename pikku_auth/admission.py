"""Who may come in, and the caller put where Django's own code looks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from pikku_auth.core.permissions import missing
from pikku_auth.exceptions import InsufficientScope, NotAuthenticated
from pikku_auth.principal import Principal


def require(principal: Principal | None, scopes: Sequence[str] = ()) -> Principal:
    """Insist on a caller, and on every one of ``scopes``.

    :raises NotAuthenticated: when there is none.
    :raises InsufficientScope: when a scope is missing; it names them.
    """
    if principal is None:
        raise NotAuthenticated
    if lacking := missing(principal.permissions, scopes):
        raise InsufficientScope(lacking)
    return principal


def admit(request: HttpRequest, principal: Principal) -> None:
    """Make ``principal`` the caller of ``request``, for this request only.

    No CSRF token is asked of it: what authenticated it is a header, which no other site
    can make a browser send. The session is left alone.
    """
    caller: Any = request
    caller.principal = principal
    caller.user = principal.user
    caller.auser = _already_known(principal.user)
    caller._dont_enforce_csrf_checks = True  # noqa: SLF001  # the name that CsrfViewMiddleware knows


def _already_known(user: Any) -> Any:
    """What ``request.auser`` has to be, or it would read the session."""

    async def auser() -> Any:
        return user

    return auser
