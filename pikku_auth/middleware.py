"""The door for plain Django: every view knows its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404
from django.urls import resolve as resolve_path

from pikku_auth.admission import admit
from pikku_auth.exceptions import Refused
from pikku_auth.flows import aresolve, resolve
from pikku_auth.principal import Principal
from pikku_auth.refusals import response_to, vary_by_credential


class OptionalPrincipalRequest(HttpRequest):
    """The request that a view gets from :class:`PikkuAuthMiddleware`, for its annotations."""

    principal: Principal | None


class PikkuAuthMiddleware:
    """Sets ``request.principal``, and to match it ``request.user``.

    Without a credential of ours ``request.principal`` is ``None`` and ``request.user`` is
    whoever the session says. A bad credential is refused here and now. List it after
    ``AuthenticationMiddleware``. Serves sync and async alike; under ASGI only asking the
    database takes a thread.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        try:
            principal = resolve(request)
        except Refused as refusal:
            if not _is_judged_by_its_view(request):
                return response_to(refusal, request)
            principal = None
        return vary_by_credential(self.get_response(_with(request, principal)))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        try:
            principal = await aresolve(request)
        except Refused as refusal:
            if not _is_judged_by_its_view(request):
                return response_to(refusal, request)
            principal = None
        return vary_by_credential(await self.get_response(_with(request, principal)))


def _with(request: HttpRequest, principal: Principal | None) -> HttpRequest:
    if principal is not None:
        admit(request, principal)
    else:
        request.principal = None  # type: ignore[attr-defined]  # what this middleware is for
    return request


def _is_judged_by_its_view(request: HttpRequest) -> bool:
    """Whether the view itself says what becomes of a bad credential, as our endpoints do.

    ``sign-out`` answers 200 for a token that is over (RFC 7009, 2.2). Asked on a refusal only.
    """
    try:
        match = resolve_path(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return getattr(match.func, "judges_callers", False)
