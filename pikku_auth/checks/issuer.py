"""Checks of ``ISSUER``, and of where the metadata is that goes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from pikku_auth.conf import conf
from pikku_auth.http.issuer import PROTECTED_RESOURCE, WELL_KNOWN, path_of_well_known
from pikku_auth.http.routes import routes

_ADDRESS = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?")
_INCLUDE = 'path(".well-known/", include("pikku_auth.well_known"))'


def is_issuer(value: object) -> None:
    """Judge the setting: an https address without query and fragment (RFC 8414, 2).

    :raises TypeError: for a value of another type.
    :raises ValueError: for another address.
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not an address.")
    if not _ADDRESS.fullmatch(value) or not _has_host(value):
        raise ValueError(
            f"{value!r} is not an address such as https://app.example.com, without a query."
        )


def well_known_without_issuer() -> Iterator[CheckMessage]:
    """W026: it can't say what it is the metadata of."""
    if conf.issuer is None and any(WELL_KNOWN in route.app_names for route in routes()):
        yield CheckWarning(
            "pikku_auth.well_known is mounted without PIKKU_AUTH['ISSUER']: it answers 404.",
            hint='PIKKU_AUTH = {"ISSUER": "https://app.example.com"}, the address of your site.',
            id="pikku_auth.W026",
        )


def issuer_that_nobody_finds() -> Iterator[CheckMessage]:
    """W027: clients look below the root of the site, and nowhere else."""
    path = path_of_well_known()
    if conf.issuer is None or path == f"/.well-known/{PROTECTED_RESOURCE}":
        return
    where = "mounted nowhere" if path is None else f"mounted at {path}, where no client looks"
    yield CheckWarning(
        f"PIKKU_AUTH['ISSUER'] is set, and its metadata is {where}.",
        hint=f"In the urls.py of your project: {_INCLUDE}",
        id="pikku_auth.W027",
    )


def _has_host(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.hostname) and parts.port != 0
