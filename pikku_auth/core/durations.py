"""Durations as people write them: ``90d``, ``1h30m``, ``45s``.

One grammar for commands, settings and forms. There are no months and no years,
because their length depends on the date.
"""

from __future__ import annotations

import re
from datetime import timedelta

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_DURATION = re.compile(
    r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?"
)

LONGEST = timedelta(days=36_500)
"""A century. Longer is a typing error, and overflows dates not far beyond."""


def parse_duration(text: str) -> timedelta:
    """Read ``text``, for example ``"90d"`` or ``"1h30m"``, as a positive duration.

    :raises ValueError: when it is not a duration, is zero, or exceeds :data:`LONGEST`.
    """
    match = _DURATION.fullmatch(text.strip()) if text.isascii() else None
    if match is None or not any(match.groups()):
        raise BrokenRule(
            _(
                "%(text)r is not a duration: write a number and a unit, for example "
                "90d, 12h, 30m, 45s, 2w or 1h30m."
            ),
            text=text,
        )
    total = timedelta()
    for count, unit in zip(match.groups("0"), _UNITS.values(), strict=True):
        if int(count) > LONGEST // unit:
            raise BrokenRule(
                _("%(text)r is longer than a century (%(most)s)."),
                text=text,
                most=format_duration(LONGEST),
            )
        total += int(count) * unit
    return require_positive(total)


def require_positive(duration: timedelta | float) -> timedelta:
    """Give ``duration`` back if it is positive and at most :data:`LONGEST`.

    A number counts seconds.

    :raises ValueError: when it is not, or is no duration at all.
    """
    duration = _as_timedelta(duration)
    if duration <= timedelta(0):
        raise BrokenRule(_("A duration must be longer than zero."))
    if duration > LONGEST:
        most = format_duration(LONGEST)
        raise BrokenRule(_("A duration may be at most a century (%(most)s)."), most=most)
    return duration


def _as_timedelta(duration: object) -> timedelta:
    if isinstance(duration, timedelta):
        return duration
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        try:
            return timedelta(seconds=duration)
        except (OverflowError, ValueError):  # ValueError: it is not a number
            raise BrokenRule(_("%(value)r is no number of seconds."), value=duration) from None
    raise BrokenRule(
        _("Give a duration as a timedelta or as seconds, not as %(type)s."),
        type=type(duration).__name__,
    )


def format_duration(duration: timedelta) -> str:
    """Write ``duration`` in the grammar of :func:`parse_duration`, whole seconds only."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, int(_UNITS[unit].total_seconds()))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
