"""What ``DEVICE_CODE`` may be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pikku_auth.conf import DEFAULTS

_MAX_LIFETIME = timedelta(days=1)
_MAX_INTERVAL = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


def is_device_code(value: Any) -> None:
    """Judge the setting; each of its keys is optional.

    :raises TypeError: for a value of another type.
    :raises ValueError: for an unknown key, or a value that is out of bounds.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not a dict.")
    if unknown := [key for key in value if key not in DEFAULTS["DEVICE_CODE"]]:
        raise ValueError(f"it has no {unknown[0]!r}.")
    given = DEFAULTS["DEVICE_CODE"] | value
    _check_seconds("lifetime", given["lifetime"], _MAX_LIFETIME)
    _check_seconds("interval", given["interval"], _MAX_INTERVAL)
    if given["interval"] >= given["lifetime"]:
        raise ValueError("a code would end before it is polled for the first time.")
    if given["verification_uri"] is not None:
        _check_address(given["verification_uri"])


def _check_seconds(name: str, value: object, most: timedelta) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is {value!r}, not a timedelta.")
    if value % _SECOND or not _SECOND <= value <= most:
        raise ValueError(f"{name} is {value}, not whole seconds up to {most}.")


def _check_address(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"verification_uri is {value!r}, not an address.")
    parts = urlsplit(value)
    is_plain = value.isascii() and value.isprintable() and " " not in value
    if not is_plain or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"verification_uri is {value!r}, not an address such as https://….")
    if parts.username is not None or parts.fragment:
        raise ValueError("verification_uri has a user name or a fragment.")
