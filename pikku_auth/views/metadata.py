"""Metadata of this site, as an authorization server (RFC 8414) and as a resource (RFC 9728)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from pikku_auth.conf import conf
from pikku_auth.core.permissions import scope_strings
from pikku_auth.http.access import ANYBODY
from pikku_auth.http.issuer import address_of_view, issuers_path
from pikku_auth.views.device import GRANT_TYPE
from pikku_auth.views.http import endpoint

_PUBLIC_CLIENTS = ["none"]


@endpoint("GET", "HEAD", access=ANYBODY)
def authorization_server(_request: HttpRequest, of: str = "") -> HttpResponse:
    """``GET .well-known/oauth-authorization-server``: the endpoints that are mounted."""
    issuer, token_endpoint = _issuer_of(of), _address_of("device_token")
    if token_endpoint is None:
        raise Http404("The endpoints are not mounted.")
    return _told(
        {
            "issuer": issuer,
            "device_authorization_endpoint": _address_of("device_code"),
            "token_endpoint": token_endpoint,
            "token_endpoint_auth_methods_supported": _PUBLIC_CLIENTS,
            "grant_types_supported": [GRANT_TYPE],
            "response_types_supported": [],  # required (RFC 8414, 2), and there is no such endpoint
            "introspection_endpoint": _address_of("introspect"),
            "revocation_endpoint": _address_of("revoke"),
            "revocation_endpoint_auth_methods_supported": _PUBLIC_CLIENTS,
            "scopes_supported": _scopes(),
        }
    )


@endpoint("GET", "HEAD", access=ANYBODY)
def protected_resource(_request: HttpRequest, of: str = "") -> HttpResponse:
    """``GET .well-known/oauth-protected-resource``: the whole site, as one resource."""
    issuer = _issuer_of(of)
    is_server_here = _address_of("device_token") is not None
    return _told(
        {
            "resource": issuer,
            "authorization_servers": [issuer] if is_server_here else None,
            "scopes_supported": _scopes(),
            "bearer_methods_supported": ["header"],
        }
    )


def _issuer_of(path: str) -> str:
    """The issuer with that path, without the slashes at its ends.

    :raises Http404: when ``ISSUER`` is not set, or has another path.
    """
    if conf.issuer is None or path.strip("/") != unquote(issuers_path()).strip("/"):
        raise Http404("No such issuer.")
    return conf.issuer


def _address_of(name: str) -> str | None:
    return address_of_view(f"pikku_auth:{name}")


def _scopes() -> list[str] | None:
    """What the host declares; it may have scopes and declare none."""
    return scope_strings(conf.scopes or {}) or None


def _told(members: dict[str, Any]) -> HttpResponse:
    """The members that say something."""
    return JsonResponse({name: value for name, value in members.items() if value is not None})
