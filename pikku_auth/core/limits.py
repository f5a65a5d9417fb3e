"""How often a key may be used: a rate in fixed windows, a quota with an optional refill.

Windows are cut from the Unix epoch, so that every server cuts them alike. A clock
that is behind stays in the window that another one has opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pikku_auth.core.durations import format_duration, parse_duration, require_positive
from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _

MAX_COUNT = 2_147_483_647
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SINGLE_UNITS = {"1s", "1m", "1h", "1d"}
_RATE = re.compile(r"(\d{1,10})/([wdhms]|\d\S*)")


def is_count(number: object) -> bool:
    """Whether ``number`` is a whole number from 1 to :data:`MAX_COUNT`."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number <= MAX_COUNT


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` in each ``period``: calls allowed, or units refilled.

    ``period`` may be given in seconds.

    :raises ValueError: when one of them is out of bounds, or of another type.
    """

    count: int
    period: timedelta

    def __post_init__(self) -> None:
        if not is_count(self.count):
            raise BrokenRule(_("The number in a rate must be from 1 to %(most)d."), most=MAX_COUNT)
        period = require_positive(self.period)
        if period < timedelta(seconds=1):
            raise BrokenRule(_("The period of a rate must be at least a second."))
        object.__setattr__(self, "period", period)

    def is_within(self, other: Rate) -> bool:
        """Whether this allows nothing that ``other`` does not."""
        return self.count <= other.count and self.period >= other.period

    def __str__(self) -> str:
        period = format_duration(self.period)
        return f"{self.count}/{period[1:] if period in _SINGLE_UNITS else period}"


def parse_rate(text: str) -> Rate:
    """Read ``"100/m"`` or ``"10/15m"``: a number, a slash, a unit or a duration.

    :raises ValueError: when it is neither.
    """
    match = _RATE.fullmatch(text) if text.isascii() else None
    if match is None:
        raise BrokenRule(
            _("%(text)r is not a rate: write for example 100/m, 5/s or 1000/12h."), text=text
        )
    count, period = match.groups()
    return Rate(int(count), parse_duration(period if period[0].isdigit() else f"1{period}"))


class Standing(NamedTuple):
    """What is left of one limit of a key, ``"rate"`` or ``"quota"``, at a moment.

    ``most`` calls are allowed in each ``window``, in seconds; both are ``None`` for a quota that
    nothing refills, of which only what is left is known. ``resets_in`` is in seconds, too.
    """

    name: str
    left: int
    most: int | None = None
    window: int | None = None
    resets_in: int | None = None

    @classmethod
    def of(cls, name: str, rate: Rate, left: int, end: datetime, now: datetime) -> Standing:
        """``left`` calls of ``rate`` in a window that lasts until ``end``."""
        window = -(-rate.period // timedelta(seconds=1))
        return cls(name, max(left, 0), rate.count, window, seconds_until(end, now))


def window_start(now: datetime, window: timedelta) -> datetime:
    """When the fixed window that contains ``now`` began."""
    return _EPOCH + (now - _EPOCH) // window * window


def last_refill(now: datetime, since: datetime, interval: timedelta) -> datetime:
    """The latest refill due at ``now``, counted in whole intervals from ``since``."""
    return since + max((now - since) // interval, 0) * interval


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds from ``now`` to ``moment``, rounded up, at least one (RFC 9110, 10.2.3)."""
    return max(1, -((now - moment) // timedelta(seconds=1)))
