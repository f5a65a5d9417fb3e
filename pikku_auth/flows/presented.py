"""What a request presents: at most one credential, without its text."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.core.networks import client_address
from pikku_auth.core.secrets import has_prefix
from pikku_auth.flows.logins import token_digest
from pikku_auth.flows.verification import key_digest

_BEARER = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\s,]+")


class Presented(NamedTuple):
    """The credential of a request; ``digest`` is ``None`` if it is malformed."""

    kind: Literal["key", "token"]
    digest: str | None
    ip: str | None


def presented_by(request: HttpRequest) -> Presented | None:
    """The credential in the headers of ``request``, or ``None`` if there is none of ours."""
    if is_key_presented(request):
        digest = key_digest(request.META[conf.key_header_meta])
        return Presented("key", digest, address_of(request))
    if is_token_presented(request):
        # A key in this header has no digest of a token, and is refused:
        # one kind of credential per header.
        return Presented("token", token_digest(bearer_of(request)), address_of(request))
    return None


def is_presented(request: HttpRequest) -> bool:
    """Whether the headers have a credential of ours, good or bad."""
    return is_key_presented(request) or is_token_presented(request)


def is_key_presented(request: HttpRequest) -> bool:
    """Whether the key header is there, empty or not."""
    return request.META.get(conf.key_header_meta) is not None


def is_token_presented(request: HttpRequest) -> bool:
    """Whether ``Authorization`` has a credential of ours in it, in whatever place.

    Servers join a header that was sent twice by a comma. Only a lone bearer is good
    (RFC 6750, 2.1), but ours beside another's must not be passed over to a cookie.
    """
    words = _BETWEEN_WORDS.split(_authorization(request))
    ours = (conf.login_prefix, conf.key_prefix)
    return any(has_prefix(word, prefix) for word in words for prefix in ours)


def bearer_of(request: HttpRequest) -> str:
    """The one token after ``Bearer`` in ``Authorization``; empty for anything else."""
    bearer = _BEARER.fullmatch(_authorization(request).strip())
    return bearer[1] if bearer else ""


def address_of(request: HttpRequest) -> str | None:
    """The caller's address, as far as ``NUM_PROXIES`` lets it be trusted."""
    return client_address(
        request.META.get("REMOTE_ADDR"),
        request.META.get("HTTP_X_FORWARDED_FOR"),
        num_proxies=conf.num_proxies,
    )


def _authorization(request: HttpRequest) -> str:
    value: str = request.META.get("HTTP_AUTHORIZATION", "")
    return value
