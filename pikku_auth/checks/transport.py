"""A check of whether credentials may cross a network in the open."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from pikku_auth.conf import conf


def check_transport(**_kwargs: object) -> list[CheckMessage]:
    """Warn where nothing redirects to https. Part of ``check --deploy`` only."""
    given = getattr(settings, "PIKKU_AUTH", {})
    if settings.SECURE_SSL_REDIRECT or (isinstance(given, dict) and conf.require_https):
        return []
    return [
        CheckWarning(
            "Nothing redirects to https, so keys and login tokens may come over plain HTTP, where "
            "others can read them.",
            hint="SECURE_SSL_REDIRECT = True. If a server in front of Django redirects, set "
            'PIKKU_AUTH = {"REQUIRE_HTTPS": True} and SECURE_PROXY_SSL_HEADER.',
            id="pikku_auth.W018",
        )
    ]
