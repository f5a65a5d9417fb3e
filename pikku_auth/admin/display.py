"""How a moment and a state look in a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy, npgettext_lazy

from pikku_auth.core.durations import format_duration
from pikku_auth.models import APIKey, KeyState

SOON = timedelta(days=14)
"""Before its end a key is shown as expiring soon: for a short life, in its last quarter."""

ALONE: dict[str, Any] = {
    "day": ngettext_lazy("%(num)d day", "%(num)d days", "num"),
    "hour": ngettext_lazy("%(num)d hour", "%(num)d hours", "num"),
}
IN_OR_AGO: dict[str, Any] = {
    "year": npgettext_lazy("in or ago", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("in or ago", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("in or ago", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("in or ago", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("in or ago", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("in or ago", "%(num)d minute", "%(num)d minutes", "num"),
}
"""The same where “in” or “ago” stands beside it: German has “3 Tage”, but “in 3 Tagen”."""


_FEW = 3


def state_of(key: APIKey, now: datetime) -> SafeString:
    """The state of a key as a coloured word."""
    state = key.state(now)
    if state is KeyState.ACTIVE and _ends_soon(key, now):
        return badge("expiring", _("expiring soon"))
    return badge(state.value, str(state.label))


def key_of(key: APIKey) -> SafeString:
    """What people know a key by: its name if it has one, and its first characters."""
    start = format_html("<code>{}…</code>", key.start)
    return format_html("{}<br>{}", key.name, start) if key.name else start


def some_of(scopes: Sequence[str]) -> SafeString | str:
    """The first scopes; all of them are there for who asks."""
    if len(scopes) <= _FEW:
        return ", ".join(scopes)
    some, more = ", ".join(scopes[:_FEW]), len(scopes) - _FEW
    return format_html('<span title="{}">{} +{}</span>', ", ".join(scopes), some, more)


def badge(kind: str, label: str) -> SafeString:
    """A coloured word; the colours of ``kind`` are in ``admin.css``."""
    return format_html('<span class="pikku-state pikku-{}">{}</span>', kind, label)


def ago(moment: datetime | None) -> SafeString | str:
    """How long ago; the exact moment is there for who asks."""
    if moment is None:
        return _("never")
    now = timezone.now()
    if now - moment < timedelta(minutes=1):
        return _time(moment, _("just now"))
    time = timesince(moment, now, time_strings=IN_OR_AGO, depth=1)
    return _time(moment, _("%(time)s ago") % {"time": time})


def ahead(moment: datetime | None) -> SafeString | str:
    """How far ahead, or how long ago."""
    now = timezone.now()
    if moment is None or moment <= now:
        return ago(moment)
    time = timeuntil(moment, now, time_strings=IN_OR_AGO, depth=1)
    return _time(moment, _("in %(time)s") % {"time": time})


def in_words(duration: timedelta, units: dict[str, Any] = ALONE) -> str:
    """A length of time for people, in its largest unit that is whole."""
    hours, days = duration // timedelta(hours=1), duration // timedelta(days=1)
    if timedelta(days=days) == duration:
        return str(units["day"] % {"num": days})
    if timedelta(hours=hours) == duration:
        return str(units["hour"] % {"num": hours})
    return format_duration(duration)


def _ends_soon(key: APIKey, now: datetime) -> bool:
    if key.expires_at is None:
        return False
    is_short = key.rotated_at is None and (key.expires_at - key.created_at) / 4 < SOON
    soon = (key.expires_at - key.created_at) / 4 if is_short else SOON
    return key.expires_at - now <= soon


def _time(moment: datetime, words: str) -> SafeString:
    exact = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, words)
