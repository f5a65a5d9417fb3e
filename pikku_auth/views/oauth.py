"""Introspection (RFC 7662) and revocation (RFC 7009), with the errors of RFC 6749, 5.2."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.debug import sensitive_post_parameters

from pikku_auth.conf import conf
from pikku_auth.core.networks import parse_address
from pikku_auth.exceptions import DeviceFlowError, Refused
from pikku_auth.flows import authenticate
from pikku_auth.flows.credentials import Credential, credential_of
from pikku_auth.flows.introspection import OF_KEYS, OF_LOGINS, introspect
from pikku_auth.flows.revocation import revoke_presented
from pikku_auth.http.access import ANYBODY
from pikku_auth.http.error_response import challenge, headers_of
from pikku_auth.models.users import username_of
from pikku_auth.principal import Principal
from pikku_auth.views.http import context_of, endpoint, read_form

_FLAGS = {"true": True, "false": False}
_ERRORS = {401: "invalid_client", 429: "slow_down", 503: "temporarily_unavailable"}


@endpoint("POST", access=(frozenset({OF_KEYS}), frozenset({OF_LOGINS})))
@sensitive_post_parameters("token")
def introspection(request: HttpRequest) -> HttpResponse:
    """``POST introspect``: what a resource server is told of a key or token that it was given."""
    form = read_form(request)
    presented = _presented(form, ip=_source_ip(form))
    count, wants_metadata, wants_claims = (_flag(form, n) for n in ("count", "metadata", "claims"))
    try:
        found = introspect(
            authenticate(request, source="endpoint"), presented, request, count=count
        )
    except Refused as refusal:
        return _refusal(refusal, request)
    if found is None:
        return JsonResponse({"active": False})
    told = _told(found)
    if wants_metadata:
        told["metadata"] = found.metadata
    if wants_claims:
        told["claims"] = found.claims
    return JsonResponse(told)


@endpoint("POST", access=ANYBODY)
@sensitive_post_parameters("token")
def revocation(request: HttpRequest) -> HttpResponse:
    """``POST revoke``: end the key or the login that the form has, and nothing else.

    200 whatever was presented (RFC 7009, 2.2).
    """
    revoke_presented(_presented(read_form(request)), context=context_of(request))
    return JsonResponse({})


def _presented(form: dict[str, str], ip: str | None = None) -> Credential:
    """The credential in a form, without its text. ``token_type_hint`` would say nothing new.

    :raises DeviceFlowError: ``invalid_request`` when there is none.
    """
    if "token" not in form:
        raise DeviceFlowError("invalid_request", "token is required")
    return credential_of(form.pop("token"), ip)


def _source_ip(form: dict[str, str]) -> str | None:
    if "source_ip" not in form:
        return None
    address = parse_address(form["source_ip"])
    if address is None:
        raise DeviceFlowError("invalid_request", "source_ip is not an IP address")
    return str(address)


def _flag(form: dict[str, str], name: str) -> bool:
    value = form.get(name, "false")
    if value not in _FLAGS:
        raise DeviceFlowError("invalid_request", f"{name} is neither true nor false")
    return _FLAGS[value]


def _told(principal: Principal) -> dict[str, Any]:
    """The members of an active one (RFC 7662, 2.2); times are whole seconds since 1970."""
    key, login, service_user = principal.key, principal.login, principal.service_user
    name, end = service_user and service_user.name, _end_of(principal)
    told = {
        "active": True,
        "scope": " ".join(principal.scopes),
        "client_id": login.client_id if login else name,
        "username": username_of(principal.user),
        "token_type": "ApiKey" if key else "Bearer",
        "exp": end and int(end.timestamp()),
        "iat": int(principal.credential.created_at.timestamp()),
        "sub": str(principal.user.pk),
        "iss": conf.issuer,
        "key_id": key and str(key.pk),
        "service_user": name,
    }
    return {name: value for name, value in told.items() if value is not None}


def _end_of(principal: Principal) -> datetime | None:
    """When it ends at the latest, if nobody uses it any more."""
    ends = [principal.expires_at]
    if principal.login is not None:
        ends.append(principal.login.max_expires_at)
    return min((end for end in ends if end is not None), default=None)


def _refusal(refusal: Refused, request: HttpRequest) -> HttpResponse:
    """Why a resource server is told nothing: its own key is not good enough."""
    error = _ERRORS.get(refusal.status, refusal.code)
    body = {"error": error, "error_description": str(refusal)}
    headers = headers_of(refusal, request)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = challenge("ApiKey")  # no other will do here
    return JsonResponse(body, status=refusal.status, headers=headers)
