"""One authentication class for both headers."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from pikku_auth.exceptions import (
    InvalidKey,
    InvalidToken,
    LimitExceeded,
    Refused,
    Unavailable,
)
from pikku_auth.flows import authenticate
from pikku_auth.http.error_response import REALM, body_of, challenge_of
from pikku_auth.http.rate_limit import rate_limit_headers
from pikku_auth.principal import Principal
from pikku_auth.rest_framework.headers import tell, tell_why, vary_by_credential
from pikku_auth.rest_framework.unscoped import admitted


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

    def authenticate(self, request: Request) -> tuple[Any, Principal | None] | None:
        """The user and the principal; ``None`` if the request has no credential of ours.

        A view that demands no scope is closed to keys: see ``UNSCOPED_VIEWS``.

        :raises rest_framework.exceptions.APIException: 401, 403, 429 or 503.
        """
        vary_by_credential(request)
        try:
            principal = authenticate(request._request, source="rest_framework")
            tell(request, rate_limit_headers(request._request))
            return None if principal is None else admitted(request, principal)
        except Refused as refusal:
            tell_why(request, refusal, self.www_authenticate_realm)
            raise _translated(refusal) from None

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401; DRF asks for it when it sends one."""
        tell(request, {"Cache-Control": "no-store"})
        return challenge_of(request._request, self.www_authenticate_realm)


def _translated(refusal: Refused) -> exceptions.APIException:
    """The matching DRF exception, with ``detail`` and ``code`` in the body."""
    error = _counterpart_of(refusal)
    error.detail = exceptions.APIException(body_of(refusal), refusal.code).detail
    return error


def _counterpart_of(refusal: Refused) -> exceptions.APIException:
    match refusal:
        case InvalidKey() | InvalidToken():
            return exceptions.AuthenticationFailed()
        case LimitExceeded():
            return exceptions.Throttled(refusal.retry_after)
        case Unavailable():
            unavailable = ServiceUnavailable()
            unavailable.wait = refusal.retry_after
            return unavailable
        case _:
            return exceptions.PermissionDenied()
