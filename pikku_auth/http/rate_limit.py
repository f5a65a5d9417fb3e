"""What is left of a key's limits, in headers: draft-ietf-httpapi-ratelimit-headers-10.

``RATE_LIMIT_HEADERS`` asks for them, because the draft may still change.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from pikku_auth.conf import conf
from pikku_auth.core.limits import Standing
from pikku_auth.flows.authentication import limits_of


def rate_limit_headers(request: HttpRequest) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit`` of an answer; none for a key without limits."""
    standings = limits_of(request, timezone.now()) if conf.rate_limit_headers else ()
    policies = [standing for standing in standings if standing.most is not None]
    headers = {}
    if policies:
        headers["RateLimit-Policy"] = ", ".join(map(_policy, policies))
    if standings:
        headers["RateLimit"] = _left(standings)
    return headers


def tell_limits(response: HttpResponseBase, request: HttpRequest) -> HttpResponseBase:
    """``response``, with the headers of :func:`rate_limit_headers`."""
    for name, value in rate_limit_headers(request).items():
        response[name] = value
    return response


def _policy(standing: Standing) -> str:
    return f'"{standing.name}";q={standing.most};w={standing.window}'


def _left(standings: Sequence[Standing]) -> str:
    parts = []
    for standing in standings:
        reset = "" if standing.resets_in is None else f";t={standing.resets_in}"
        parts.append(f'"{standing.name}";r={standing.left}{reset}')
    return ", ".join(parts)
