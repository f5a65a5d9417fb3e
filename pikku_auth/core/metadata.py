"""Metadata of a key: a small JSON object of stable ids, never a place for secrets.

The limits keep it storable on every database (PostgreSQL refuses NUL), printable in
every page, and harmless wherever its names might one day meet a query
(CVE-2024-42005: SQL through JSON keys).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _

MAX_BYTES = 4096
MAX_DEPTH = 5
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def parse_metadata(text: str) -> dict[str, Any]:
    """Read metadata from JSON text.

    :raises ValueError: when it is not JSON, names a member twice, or breaks a limit.
    """
    if len(text) > MAX_BYTES:
        raise BrokenRule(_TOO_LARGE, most=MAX_BYTES)
    try:
        value = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except RecursionError:
        raise BrokenRule(_TOO_DEEP, most=MAX_DEPTH) from None
    except json.JSONDecodeError as error:
        raise BrokenRule(
            _(
                "Metadata is not JSON (it goes wrong at character %(position)d): write an "
                'object, for example {"sandbox_id": "sbx_42"}.'
            ),
            position=error.pos + 1,
        ) from None
    return check_metadata(value)


def check_metadata(value: object) -> dict[str, Any]:
    """Give ``value`` back as a plain dict if it may be stored as metadata.

    :raises ValueError: when it is not a JSON object within the limits.
    """
    if not isinstance(value, Mapping):
        raise BrokenRule(_('Metadata must be a JSON object, for example {"sandbox_id": "sbx_42"}.'))
    checked: dict[str, Any] = _checked(value, depth=1)
    try:
        encoded = json.dumps(checked, ensure_ascii=False).encode()
    except (UnicodeEncodeError, ValueError):
        raise BrokenRule(_("Metadata has a character or a number that can't be stored.")) from None
    if len(encoded) > MAX_BYTES:
        raise BrokenRule(_TOO_LARGE, most=MAX_BYTES)
    return checked


_TOO_LARGE = _("Metadata may have at most %(most)d bytes: store ids, and look the rest up.")
_TOO_DEEP = _("Metadata may be nested at most %(most)d deep.")


def _checked(value: object, depth: int) -> Any:
    if isinstance(value, Mapping | list | tuple) and depth > MAX_DEPTH:
        raise BrokenRule(_TOO_DEEP, most=MAX_DEPTH)
    if isinstance(value, Mapping):
        return {_name(name): _checked(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(item, depth + 1) for item in value]
    return _scalar(value)


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BrokenRule(
            _(
                "Metadata can't have a member named %(name)r: use up to 64 letters, "
                "digits, '_', '.' or '-'."
            ),
            name=str(name)[:80],
        )
    return name


def _scalar(value: object) -> object:
    if isinstance(value, str):
        if "\0" in value:
            raise BrokenRule(_("Metadata can't hold a NUL character."))
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise BrokenRule(
        _("Metadata can't hold %(value)r: it is not a JSON value."), value=str(value)[:80]
    )


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BrokenRule(_("Metadata names a member twice."))
    return members


def _no_constant(name: str) -> NoReturn:
    raise BrokenRule(_("Metadata can't hold %(name)s: it is not a JSON value."), name=name)
