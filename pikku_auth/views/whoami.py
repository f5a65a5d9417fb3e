"""The endpoint that describes the caller's credential: to try one out with any host."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from pikku_auth.exceptions import NotAuthenticated, Refused
from pikku_auth.flows import authenticate
from pikku_auth.http.access import USER
from pikku_auth.http.error_response import response_to
from pikku_auth.models import APIKey
from pikku_auth.models.users import username_of
from pikku_auth.principal import Principal
from pikku_auth.views.http import endpoint


@endpoint("GET", "HEAD", access=frozenset({USER}))
def whoami(request: HttpRequest) -> HttpResponse:
    """``GET whoami``: who the caller is by its key or its login, and what that allows."""
    try:
        principal = authenticate(request, source="endpoint")
        if principal is None:
            raise NotAuthenticated
    except Refused as refusal:
        return response_to(refusal, request)
    return JsonResponse(_told(principal))


def _told(principal: Principal) -> dict[str, object]:
    service_user, expires_at = principal.service_user, principal.expires_at
    latest = expires_at if principal.login is None else principal.login.max_expires_at
    return {
        "via": principal.via,
        "user": username_of(principal.user),
        "service_user": service_user and service_user.name,
        "scopes": principal.scopes,
        "expires_at": expires_at and expires_at.isoformat(),
        "max_expires_at": latest and latest.isoformat(),
        "key": principal.key and _key(principal.key),
    }


def _key(key: APIKey) -> dict[str, object]:
    """What tells keys apart, and what is left of the quota after this call."""
    if key.remaining is not None:
        key.refresh_from_db(fields=["remaining"])
    return {
        "start": key.preview,
        "name": key.name,
        "rate": key.rate and str(key.rate),
        "remaining": key.remaining,
    }
