"""Who is calling? Every door asks :func:`resolve` and does as it says."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.core.networks import client_address
from pikku_auth.core.secrets import has_prefix
from pikku_auth.flows.logins import token_digest, verify_login
from pikku_auth.flows.verification import key_digest, verify_digest
from pikku_auth.principal import Principal


def resolve(request: HttpRequest, *, now: datetime | None = None) -> Principal | None:
    """The principal of ``request``, or ``None`` if it carries no credential of ours.

    A present key header decides alone, even an empty one: exactly one live key, or the
    caller is refused and nothing else is tried. A bearer of our format goes the same
    way; any other bearer is somebody else's to judge.

    :raises Refused: when a credential is there and not good.
    """
    if is_key_presented(request):
        digest = key_digest(request.META[conf.key_header_meta])
        return verify_digest(digest, ip=address_of(request), now=now)
    if is_token_presented(request):
        # A key in this header has no digest of a token, and is refused:
        # one kind of credential per header.
        return verify_login(token_digest(bearer_of(request)), ip=address_of(request), now=now)
    return None


def is_key_presented(request: HttpRequest) -> bool:
    """Whether the key header is there, empty or not."""
    return request.META.get(conf.key_header_meta) is not None


def is_token_presented(request: HttpRequest) -> bool:
    """Whether ``Authorization`` is a bearer of our format (RFC 6750, 2.1)."""
    token = bearer_of(request)
    return has_prefix(token, conf.login_prefix) or has_prefix(token, conf.key_prefix)


def bearer_of(request: HttpRequest) -> str:
    """What follows ``Bearer`` in ``Authorization``; empty for any other scheme."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def address_of(request: HttpRequest) -> str | None:
    """The caller's address, as far as ``NUM_PROXIES`` lets it be trusted."""
    return client_address(
        request.META.get("REMOTE_ADDR"),
        request.META.get("HTTP_X_FORWARDED_FOR"),
        num_proxies=conf.num_proxies,
    )
