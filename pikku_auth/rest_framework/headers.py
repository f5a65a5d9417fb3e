"""What an answer says in headers, by way of the view's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request

from pikku_auth.conf import conf
from pikku_auth.exceptions import Refused
from pikku_auth.http.error_response import REALM, headers_of


def vary_by_credential(request: Request) -> None:
    """Keep Django's cache middleware from serving one caller's answer to another."""
    headers = _headers_of_view(request)
    told = [headers["Vary"]] if "Vary" in headers else []
    headers["Vary"] = ", ".join([*told, *conf.credential_headers])


def tell(request: Request, headers: Mapping[str, str]) -> None:
    """Add to the answer."""
    _headers_of_view(request).update(headers)


def tell_why(request: Request, refusal: Refused, realm: str = REALM) -> None:
    """Add the headers of a refusal that every integration sends."""
    tell(request, headers_of(refusal, request._request, realm))


def _headers_of_view(request: Request) -> dict[str, str]:
    """The headers that DRF adds to each response of the view; outside of a view, unused."""
    view = (request.parser_context or {}).get("view")
    headers: dict[str, Any] = getattr(view, "headers", {})
    return headers
