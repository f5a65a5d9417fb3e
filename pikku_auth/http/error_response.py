"""A refusal over HTTP: the same headers and words in every integration."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from pikku_auth.conf import conf
from pikku_auth.exceptions import BrowserSessionRequired, InsufficientScope, Refused
from pikku_auth.flows.credentials import has_credential, has_key, has_token
from pikku_auth.http.issuer import resource_metadata
from pikku_auth.http.rate_limit import rate_limit_headers, tell_limits

REALM = "api"

_KINDS = ["application/json", "text/html"]


def challenge_of(request: HttpRequest, realm: str = REALM) -> str:
    """The challenge of a 401 (RFC 9110, 11.6.1; RFC 6750, 3).

    No error code where no credential was sent; and for a bad one the same words
    whatever was wrong with it.
    """
    if has_key(request):
        return challenge("ApiKey", realm)
    if has_token(request):
        return challenge("Bearer", realm, error="invalid_token")
    return f"{challenge('ApiKey', realm)}, {challenge('Bearer', realm)}"


def challenge(scheme: str, realm: str = REALM, **parameters: str) -> str:
    """One challenge of a 401, which says where the metadata is, if any is (RFC 9728, 5.1)."""
    if (metadata := resource_metadata()) is not None:
        parameters["resource_metadata"] = metadata
    said = [f'{name}="{value}"' for name, value in {"realm": realm, **parameters}.items()]
    return f"{scheme} {', '.join(said)}"


def headers_of(refusal: Refused, request: HttpRequest, realm: str = REALM) -> dict[str, str]:
    """What a refusal says in headers: the challenge, the missing scope, when to come back.

    And what is left of the key's limits, if ``RATE_LIMIT_HEADERS`` says so.
    """
    headers = {"Cache-Control": "no-store"}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = challenge_of(request, realm)
    if isinstance(refusal, InsufficientScope):
        scheme = "ApiKey" if has_key(request) else "Bearer"
        headers["WWW-Authenticate"] = (
            f'{scheme} realm="{realm}", error="insufficient_scope", '
            f'scope="{" ".join(refusal.missing)}"'
        )
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return headers | rate_limit_headers(request)


def body_of(refusal: Refused) -> dict[str, Any]:
    """What a refusal says in JSON."""
    return {"detail": str(refusal), "code": refusal.code}


def response_to(refusal: Refused, request: HttpRequest) -> HttpResponse:
    """The answer to a refused request: JSON, or a page for who prefers HTML.

    No context processor runs for the page: one of the host's might ask the database, which an
    event loop must not wait for, and which may be what is down.
    """
    undo()
    response: HttpResponse
    if request.get_preferred_type(_KINDS) == "text/html":
        page = render_to_string("pikku_auth/refused.html", {"refusal": refusal})
        response = HttpResponse(page, status=refusal.status)
    else:
        response = JsonResponse(body_of(refusal), status=refusal.status)
    for name, value in headers_of(refusal, request).items():
        response[name] = value
    vary_by_credential(response)
    patch_vary_headers(response, ["Accept"])
    return response


def refusal_of_credentials(request: HttpRequest) -> HttpResponse | None:
    """The 403 of a page for browsers, if the headers have a credential of ours, good or bad."""
    if has_credential(request):
        return response_to(BrowserSessionRequired(), request)
    return None


def undo() -> None:
    """Have ``ATOMIC_REQUESTS`` roll back: there is nothing to commit, and perhaps no connection."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block:
            connection.set_rollback(True)


def vary_by_credential(response: HttpResponseBase) -> HttpResponseBase:
    """``response``, which no cache serves to another caller."""
    patch_vary_headers(response, conf.credential_headers)
    return response


def told(response: HttpResponseBase, request: HttpRequest) -> HttpResponseBase:
    """``response`` of a view that knew its caller, with what every integration adds to one."""
    return tell_limits(vary_by_credential(response), request)
