"""Checks of what the settings say about proxies."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from pikku_auth.conf import conf

_SIGNS = ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT")


def uncounted_proxies() -> Iterator[CheckMessage]:
    """A proxy that ``NUM_PROXIES`` doesn't count makes all callers one."""
    signs = [name for name in _SIGNS if getattr(settings, name)]
    if signs and conf.num_proxies == 0:
        yield CheckWarning(
            f"{' and '.join(signs)} say that there is a proxy, but NUM_PROXIES is 0: every caller "
            "has the proxy's address, in limits, in the networks of a key and in the audit trail.",
            hint='PIKKU_AUTH = {"NUM_PROXIES": 1}, or how many proxies of yours append to '
            "X-Forwarded-For. If your server sets REMOTE_ADDR to the caller's address, silence "
            "this check.",
            id="pikku_auth.W013",
        )
