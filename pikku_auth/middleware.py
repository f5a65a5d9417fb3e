"""The integration with plain Django: every view knows its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch
from django.urls import resolve as resolve_path

from pikku_auth.exceptions import BrowserSessionRequired, Refused
from pikku_auth.flows import aauthenticate, authenticate
from pikku_auth.flows.credentials import has_credential
from pikku_auth.http.admin_pages import is_admin
from pikku_auth.http.caller import admit, withheld_principal, withhold
from pikku_auth.http.error_response import response_to, told
from pikku_auth.http.unscoped_views import is_closed_to, is_view_marked
from pikku_auth.principal import Principal


class OptionalPrincipalRequest(HttpRequest):
    """The request that a view gets from :class:`PikkuAuthMiddleware`, for its annotations."""

    principal: Principal | None


class PikkuAuthMiddleware:
    """Sets ``request.principal``, and to match it ``request.user``.

    Without a credential of ours ``request.principal`` is ``None`` and ``request.user`` is
    whoever the session says. A bad credential is refused here and now. List it after
    ``AuthenticationMiddleware``. Serves sync and async alike; under ASGI only asking the
    database takes a thread.

    A view that is not marked with :func:`~pikku_auth.decorators.any_key` sees an anonymous user
    where it is closed to the caller (``UNSCOPED_VIEWS``), and so does middleware behind this one.
    """

    sync_capable = True
    async_capable = True
    decides_who_calls = True
    """What ``manage.py show_access`` asks for."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        try:
            principal = (
                None if self._leaves_alone(request) else authenticate(request, source="django")
            )
        except Refused as refusal:
            if not _is_judged_by_its_view(request):
                return response_to(refusal, request)
            principal = None
        return told(self.get_response(_with(request, principal)), request)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        try:
            principal = (
                None
                if self._leaves_alone(request)
                else await aauthenticate(request, source="django")
            )
        except Refused as refusal:
            if not _is_judged_by_its_view(request):
                return response_to(refusal, request)
            principal = None
        return told(await self.get_response(_with(request, principal)), request)

    def _leaves_alone(self, request: HttpRequest) -> bool:
        return has_credential(request) and self.is_exempt(request)

    @property
    def process_view(self) -> Callable[..., Any]:
        """What Django calls when the view is found. Async where we are, to take no thread."""
        return self._aprocess_view if self._is_async else self._process_view

    def _process_view(
        self, request: HttpRequest, view: object, *_: object
    ) -> HttpResponseBase | None:
        match = request.resolver_match
        if match is not None and has_credential(request) and self.is_for_browsers(match):
            return response_to(BrowserSessionRequired(), request)
        principal = withheld_principal(request)
        if principal is not None and is_view_marked(view, request.method):
            admit(request, principal)
        return None

    async def _aprocess_view(
        self, request: HttpRequest, view: object, *_: object
    ) -> HttpResponseBase | None:
        return self._process_view(request, view)

    def is_exempt(self, request: HttpRequest) -> bool:
        """Whether credentials are left alone: by default, for ``@credentials_exempt`` views.

        A webhook's sender or a gateway may use the key header for a key of its own. Asked where
        a request has a credential. Override it to name paths, such as those of a package.
        """
        return bool(getattr(_view_of(request), "credentials_exempt", False))

    def is_for_browsers(self, match: ResolverMatch) -> bool:
        """Whether the page takes no API key and no login token, as those of an admin site.

        Override it to name pages of other packages, which you can't decorate.
        """
        return is_admin(match)


def _with(request: HttpRequest, principal: Principal | None) -> HttpRequest:
    if principal is None:
        request.principal = None  # type: ignore[attr-defined]  # what this middleware is for
    elif is_closed_to(principal) and not is_view_marked(_view_of(request), request.method):
        withhold(request, principal)
    else:
        admit(request, principal)
    return request


def _is_judged_by_its_view(request: HttpRequest) -> bool:
    """Whether the view answers bad credentials itself, as our endpoints do.

    ``sign-out`` answers 200 for a token that is over (RFC 7009, 2.2). Asked on a refusal only.
    """
    return getattr(_view_of(request), "handles_own_auth_errors", False)


def _view_of(request: HttpRequest) -> object:
    """The view, before Django looks it up; middleware behind ours may still choose another."""
    try:
        return resolve_path(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return None
