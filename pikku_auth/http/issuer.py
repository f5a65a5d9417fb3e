"""The addresses that metadata tells: they follow from ``ISSUER``, never from ``Host``."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, reverse

from pikku_auth.conf import conf

WELL_KNOWN = "pikku_auth_well_known"
"""The namespace of :mod:`pikku_auth.well_known`."""

PROTECTED_RESOURCE = "oauth-protected-resource"


def issuers_path() -> str:
    """The path of ``ISSUER`` without a slash at its end; empty for a whole site."""
    return urlsplit(conf.issuer or "").path.rstrip("/")


def address_of_view(name: str) -> str | None:
    """The address of the view of that name on this site, or ``None`` if it isn't mounted."""
    path = _path_of(name)
    return None if path is None else f"{_origin()}{path}"


def resource_metadata() -> str | None:
    """Where :mod:`pikku_auth.well_known` describes this site, or ``None`` if it doesn't.

    The path of the issuer comes behind the well-known part (RFC 9728, 3.1).
    """
    if conf.issuer is None or _path_of(f"{WELL_KNOWN}:protected_resource") is None:
        return None
    return f"{_origin()}/.well-known/{PROTECTED_RESOURCE}{issuers_path()}"


def path_of_well_known() -> str | None:
    """Where in this site the metadata of a resource is mounted, or ``None`` if it isn't."""
    path = _path_of(f"{WELL_KNOWN}:protected_resource")
    return None if path is None else f"/{path.removeprefix(get_script_prefix())}"


def _origin() -> str:
    return f"https://{urlsplit(conf.issuer or '').netloc}"


def _path_of(name: str) -> str | None:
    if not getattr(settings, "ROOT_URLCONF", None):
        return None
    try:
        return reverse(name)
    except NoReverseMatch:
        return None
