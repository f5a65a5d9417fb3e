"""Which pages may act by what a browser sends along: the site's own, and trusted ones."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import is_same_domain


def is_trusted(origin: str, request: HttpRequest, also: Iterable[str] = ()) -> bool:
    """Whether ``origin`` is the site's own, of ``CSRF_TRUSTED_ORIGINS``, or one of ``also``.

    Those two are written the same way: a scheme and a host, which may begin with ``*.``.

    :raises django.core.exceptions.DisallowedHost: when the ``Host`` header is not allowed.
    """
    scheme, netloc = scheme_and_host(origin)
    own = f"{request.scheme}://{request.get_host()}"
    trusted = [
        urlsplit(known.replace("*", "", 1)) for known in (*settings.CSRF_TRUSTED_ORIGINS, *also)
    ]
    return origin == own or any(
        scheme == known.scheme and is_same_domain(netloc, known.netloc) for known in trusted
    )


def scheme_and_host(url: str) -> tuple[str, str]:
    """The scheme and host of ``url``; empty strings if it is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an unfinished IPv6 address
        return "", ""
    return parts.scheme, parts.netloc
