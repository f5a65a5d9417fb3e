"""One authentication class for both headers."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from pikku_auth.conf import conf
from pikku_auth.exceptions import (
    InvalidKey,
    InvalidToken,
    LimitExceeded,
    Refused,
    Unavailable,
)
from pikku_auth.flows import resolve
from pikku_auth.principal import Principal
from pikku_auth.refusals import REALM, challenge_of


class ServiceUnavailable(exceptions.APIException):
    """503 with ``Retry-After``: an outage is not a bad key."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = _("Service temporarily unavailable, try again later.")
    default_code = "service_unavailable"
    wait: int | None = None


class PikkuAuthentication(BaseAuthentication):
    """Authenticates ``x-api-key`` and ``Authorization: Bearer``.

    ``request.user`` is the Django user, ``request.auth`` the
    :class:`~pikku_auth.principal.Principal`. List it first: DRF takes the first class's
    word for ``WWW-Authenticate``, and a class before it would answer for a bad key.
    """

    www_authenticate_realm = REALM

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        """The user and the principal; ``None`` if the request has no credential of ours.

        :raises rest_framework.exceptions.APIException: 401, 403, 429 or 503.
        """
        _vary_by_credential(request)
        try:
            principal = resolve(request._request)
        except Refused as refusal:
            raise _translated(refusal) from None
        return None if principal is None else (principal.user, principal)

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return challenge_of(request._request, self.www_authenticate_realm)


def _translated(refusal: Refused) -> exceptions.APIException:
    error: exceptions.APIException
    match refusal:
        case InvalidKey() | InvalidToken():
            return exceptions.AuthenticationFailed(str(refusal), refusal.code)
        case LimitExceeded():
            error = exceptions.Throttled(refusal.retry_after, str(refusal), refusal.code)
        case Unavailable():
            error = ServiceUnavailable(str(refusal), refusal.code)
            error.wait = refusal.retry_after
        case _:
            error = exceptions.PermissionDenied(str(refusal), refusal.code)
    return error


def _vary_by_credential(request: Request) -> None:
    """Keep Django's cache middleware from serving one caller's answer to another."""
    view = (request.parser_context or {}).get("view")
    headers = getattr(view, "headers", None)
    if headers is not None:
        told = [headers["Vary"]] if "Vary" in headers else []
        headers["Vary"] = ", ".join([*told, conf.key_header, "Authorization"])
