"""The door for django-ninja: ``NinjaAPI(auth=PikkuAuth())``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError
from ninja.security.base import AuthBase

from pikku_auth.admission import admit, require
from pikku_auth.conf import conf
from pikku_auth.core.permissions import parse_scope
from pikku_auth.exceptions import NotAuthenticated, Refused
from pikku_auth.flows import aresolve, resolve
from pikku_auth.principal import Principal
from pikku_auth.refusals import body_of, headers_of, vary_by_credential


class RefusedByPikkuAuth(HttpError):
    """A refusal as django-ninja knows it; ``refusal`` is what it was."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.status, str(refusal))
        self.refusal = refusal


class PikkuAuth(AuthBase):
    """Admits callers with a key or a login, and only those with every one of ``scopes``.

    For sync and async operations. ``request.auth`` is the
    :class:`~pikku_auth.principal.Principal`, ``request.user`` its Django user. A bad credential
    ends the request whatever comes after this in the list of ``auth``; without a credential of
    ours the next one is asked. Call :func:`handle_refusals` once for each API.

    :raises ValueError: when one of ``scopes`` is not of the grammar.
    """

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_description = "A machine's API key. When present, it alone decides."

    def __init__(self, *, scopes: Sequence[str] = ()) -> None:
        for scope in scopes:
            parse_scope(scope)
        self.scopes = scopes
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
        if _is_in_event_loop():
            return self._aadmitted(request)
        try:
            return self._admitted(request, resolve(request))
        except Refused as refusal:
            raise RefusedByPikkuAuth(refusal) from None

    async def _aadmitted(self, request: HttpRequest) -> Principal | None:
        try:
            return self._admitted(request, await aresolve(request))
        except Refused as refusal:
            raise RefusedByPikkuAuth(refusal) from None

    def _admitted(self, request: HttpRequest, principal: Principal | None) -> Principal | None:
        if principal is not None:
            admit(request, require(principal, self.scopes))
        return principal


class LoginScheme(AuthBase):
    """Shows in the OpenAPI document that a login does as well; lets nobody in by itself.

    django-ninja shows one scheme for each object, and :class:`PikkuAuth` is the key's:
    ``auth=[PikkuAuth(), LoginScheme()]``.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "A human's login token, from `pikku-auth login`."

    def __init__(self) -> None:
        super().__init__()
        self.is_async = True  # or ninja would ask it in a thread

    def __call__(self, request: HttpRequest) -> None:
        """Nobody: :class:`PikkuAuth` has been asked before."""


def handle_refusals(api: NinjaAPI) -> None:
    """Answer refusals as at every other door: with a challenge, and when to come back.

    Without it their status and their words are the same, but ninja sends no headers.
    """
    api.add_exception_handler(RefusedByPikkuAuth, partial(_refused, api=api))
    api.add_exception_handler(AuthenticationError, partial(_not_authenticated, api=api))


def _refused(request: HttpRequest, error: RefusedByPikkuAuth, *, api: NinjaAPI) -> HttpResponse:
    return _response_to(error.refusal, request, api)


def _not_authenticated(
    request: HttpRequest, error: AuthenticationError, *, api: NinjaAPI
) -> HttpResponse:
    return _response_to(NotAuthenticated(), request, api)


def _response_to(refusal: Refused, request: HttpRequest, api: NinjaAPI) -> HttpResponse:
    response = api.create_response(request, body_of(refusal), status=refusal.status)
    for name, value in headers_of(refusal, request).items():
        response[name] = value
    vary_by_credential(response)
    return response


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
