"""An API with the error responses of every other integration."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError
from ninja.openapi.schema import OpenAPISchema

from pikku_auth.contrib.ninja.auth import RefusedByPikkuAuth, guards_of
from pikku_auth.contrib.ninja.caching import varying, was_asked
from pikku_auth.contrib.ninja.openapi import Document
from pikku_auth.contrib.ninja.operations import operations_of
from pikku_auth.exceptions import NotAuthenticated, Refused
from pikku_auth.http.error_response import body_of, headers_of, undo


class PikkuNinjaAPI(NinjaAPI):
    """``NinjaAPI`` for operations that :class:`~pikku_auth.contrib.ninja.PikkuNinjaAuth` guards.

    Refusals have their headers and their ``code``, answers ``Vary`` by the credential, the OpenAPI
    document has both credentials and the scopes, and Django's ``LoginRequiredMiddleware`` leaves
    the decision to ``PikkuNinjaAuth``. Operations with another ``auth`` are as they were.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_decorator(varying, mode="view")
        self.add_exception_handler(RefusedByPikkuAuth, self._refused)

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        """As ninja's, but a missing credential gets our 401 where ``PikkuNinjaAuth`` guards."""
        if _has_nobody_come(request, exc):
            exc = RefusedByPikkuAuth(NotAuthenticated())
        return super().on_exception(request, exc)

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """The OpenAPI document."""
        if path_prefix is None:
            path_prefix = self.get_root_path(path_params or {})
        return Document(self, path_prefix)

    @property
    def urls(self) -> Any:
        """What goes into the URLconf."""
        patterns, app_name, namespace = super().urls
        for pattern in patterns:
            operations = operations_of(pattern.callback)
            if operations and all(guards_of(operation) for operation in operations):
                view: Any = pattern.callback
                view.login_required = False
        return patterns, app_name, namespace

    def _refused(self, request: HttpRequest, error: Any) -> HttpResponse:
        undo()
        refusal: Refused = error.refusal
        response = self.create_response(request, body_of(refusal), status=refusal.status)
        for name, value in headers_of(refusal, request).items():
            response[name] = value
        return response


def _has_nobody_come(request: HttpRequest, error: Any) -> bool:
    """True if ``PikkuNinjaAuth`` found no credential; false if the view itself raised the error."""
    is_asking = isinstance(error, AuthenticationError) and not hasattr(request, "auth")
    return is_asking and was_asked(request)
