"""What an operation lists as its ``auth``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.operation import Operation
from ninja.security.base import AuthBase

from pikku_auth.conf import conf
from pikku_auth.contrib.ninja.caching import note_asked
from pikku_auth.contrib.ninja.operations import is_any_key
from pikku_auth.core.permissions import check_scopes
from pikku_auth.decorators import PrincipalRequest as PlainRequest
from pikku_auth.exceptions import Refused
from pikku_auth.flows import aauthenticate, authenticate
from pikku_auth.http.caller import admit, require
from pikku_auth.http.unscoped_views import require_scoped_view
from pikku_auth.principal import Principal


class PrincipalRequest(PlainRequest):
    """The request of an operation under :class:`PikkuNinjaAuth`, for its annotations."""

    auth: Principal


class RefusedByPikkuAuth(HttpError):
    """A refusal as django-ninja knows it; ``refusal`` is what it was."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.status, str(refusal))
        self.refusal = refusal

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.refusal,), self.__dict__


class PikkuNinjaAuth(AuthBase):
    """Admits callers with a key or a login, and only those with every one of ``scopes``.

    For sync and async operations. ``request.auth`` is the
    :class:`~pikku_auth.principal.Principal`, ``request.user`` its Django user. List it first: a
    bad credential ends the request whatever comes after it in the list of ``auth``; without a
    credential of ours the next one is asked.

    Without ``scopes`` an operation is closed to keys unless it is marked with
    :func:`~pikku_auth.decorators.any_key` (``UNSCOPED_VIEWS``); ``scopes=[]`` says the same as
    the mark, for all operations that it guards.

    :raises ValueError: when one of ``scopes`` is not of the grammar.
    """

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_description = "A machine's API key. When present, it alone decides."

    def __init__(self, *, scopes: Sequence[str] | None = None) -> None:
        self.names_scopes = scopes is not None
        self.scopes = scopes or ()
        check_scopes(self.scopes)
        self.openapi_name = conf.key_header
        super().__init__()
        # ninja asks a sync operation's auth for no coroutine, but takes an answer as it is.
        self.is_async = True

    def __call__(
        self, request: HttpRequest
    ) -> Principal | Coroutine[Any, Any, Principal | None] | None:
        """The caller, or ``None`` without a credential of ours; to be awaited in an event loop.

        :raises RefusedByPikkuAuth: when the caller is refused.
        """
        note_asked(request)
        if _is_in_event_loop():
            return self._aadmitted(request)
        try:
            return self._admitted(request, authenticate(request, source="ninja"))
        except Refused as refusal:
            raise RefusedByPikkuAuth(refusal) from None

    async def _aadmitted(self, request: HttpRequest) -> Principal | None:
        try:
            return self._admitted(request, await aauthenticate(request, source="ninja"))
        except Refused as refusal:
            raise RefusedByPikkuAuth(refusal) from None

    def _admitted(self, request: HttpRequest, principal: Principal | None) -> Principal | None:
        if principal is not None:
            is_scoped = self.names_scopes or is_any_key(request)
            require_scoped_view(principal, is_scoped=is_scoped)
            admit(request, require(principal, self.scopes))
        return principal


def guards_of(operation: Operation) -> list[PikkuNinjaAuth]:
    """The ``PikkuNinjaAuth`` in the ``auth`` of ``operation``."""
    return [auth for auth in operation.auth_callbacks if isinstance(auth, PikkuNinjaAuth)]


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
