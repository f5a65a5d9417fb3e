"""``IMPORTED_KEYS``: where callers send what another package has issued, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.utils import timezone

from pikku_auth.conf import conf

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_SCHEME = re.compile(r"Authorization: ?[A-Za-z][A-Za-z0-9-]*", re.IGNORECASE)
_WITH_ANOTHER_MEANING = {"authorization", "content-length", "content-type", "cookie", "host"}


def is_imported_keys(value: Any) -> None:
    """Insist that ``value`` says where imported credentials are sent, and until when.

    :raises TypeError: when it has another form.
    :raises ValueError: when a header has another meaning.
    """
    if value is None:
        return
    if not (isinstance(value, dict) and value.keys() == {"headers", "until"}):
        raise TypeError(f"{value!r} is not a dict of headers and until.")
    headers, until = value["headers"], value["until"]
    if not (isinstance(headers, list | tuple) and headers):
        raise TypeError(f"{headers!r} is not a list of headers.")
    for header in headers:
        _require_header(header)
    if until is not None and not isinstance(until, date):
        raise TypeError(f"{until!r} is neither a date nor a datetime; None is for ever.")
    if isinstance(until, datetime) and until.tzinfo is None:
        raise ValueError(f"{until!r} has no time zone.")


def _require_header(header: object) -> None:
    if not (isinstance(header, str) and (_HEADER.fullmatch(header) or _SCHEME.fullmatch(header))):
        raise ValueError(f'{header!r} is neither a header nor "Authorization: Token" or the like.')
    if header.lower() in _WITH_ANOTHER_MEANING:
        raise ValueError(f"{header!r} has another meaning.")


def imported_keys_over() -> Iterator[CheckMessage]:
    """W028: nothing imported is looked up any more, and what is dead here may live there."""
    settings = None
    with suppress(TypeError, ValueError, KeyError, AttributeError):  # E001 and E003 tell of these
        settings = conf.imported_keys
    if settings is not None and not settings.is_open(timezone.now()):
        yield CheckWarning(
            "PIKKU_AUTH['IMPORTED_KEYS'] is over: no imported key or login works any more, and "
            "what still asks the other package lets in whatever is left there.",
            hint="Move until on, or run manage.py import_keys --retire all, and take the setting "
            "and the other package out.",
            id="pikku_auth.W028",
        )
