"""Require a principal, and set it as the caller on Django's request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from pikku_auth.core.permissions import missing
from pikku_auth.exceptions import InsufficientScope, NotAuthenticated
from pikku_auth.principal import Principal

_CALLER = "_pikku_auth_caller"
_WITHHELD = "_pikku_auth_withheld"


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
    set_caller(request, principal, principal.user)
    _exempt_from_csrf(request)


def withhold(request: HttpRequest, principal: Principal) -> None:
    """Make ``request`` anonymous until :func:`admit`; ``principal`` is kept for that.

    Not the session's user either: a credential never falls through to a cookie. No CSRF token
    is asked for, because a marked view is known only after ``CsrfViewMiddleware`` has run.
    """
    set_caller(request, None, AnonymousUser())
    _exempt_from_csrf(request)
    setattr(request, _WITHHELD, principal)


def withheld_principal(request: HttpRequest) -> Principal | None:
    """The principal that :func:`withhold` was given."""
    principal: Principal | None = getattr(request, _WITHHELD, None)
    return principal


def _exempt_from_csrf(request: Any) -> None:
    request._dont_enforce_csrf_checks = True  # noqa: SLF001  # the name that CsrfViewMiddleware knows


def set_caller(request: HttpRequest, principal: Principal | None, user: Any) -> None:
    """Fix ``request.principal``, ``request.user`` and ``request.auser``.

    Only another call changes them. A middleware that assigns ``request.user`` later would
    otherwise give the session's user the place of the key's, without the bounds of the key.
    """
    setattr(request, _CALLER, (principal, user))
    if not isinstance(request, _WithCaller):
        request_class: Any = type(request)
        request.__class__ = _with_caller(request_class)


class _WithCaller:
    """The part of a request's class that answers who calls. Assignments are ignored."""

    @property
    def principal(self) -> Principal | None:
        return _caller_of(self)[0]

    @principal.setter
    def principal(self, _principal: object) -> None: ...

    @property
    def user(self) -> Any:
        return _caller_of(self)[1]

    @user.setter
    def user(self, _user: object) -> None: ...

    @property
    def auser(self) -> Any:
        return self._auser

    @auser.setter
    def auser(self, _auser: object) -> None: ...

    async def _auser(self) -> Any:
        return self.user

    def __reduce__(self) -> tuple[Any, ...]:
        # The class has no name in any module. Django's requests can be pickled.
        return _without_state, (type(self).__mro__[2],), self.__getstate__()


def _caller_of(request: object) -> tuple[Principal | None, Any]:
    caller: tuple[Principal | None, Any] = getattr(request, _CALLER)
    return caller


def _without_state(request_class: Any) -> Any:
    return object.__new__(_with_caller(request_class))


@cache
def _with_caller(request_class: Any) -> Any:
    return type(request_class.__name__, (_WithCaller, request_class), {})
