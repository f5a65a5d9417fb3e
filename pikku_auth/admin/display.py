"""How a moment and a state look in a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy, npgettext_lazy

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


WHY = {
    KeyState.SUSPENDED: gettext_lazy(
        "The key that has minted it is disabled, or the service user of that key does not work. "
        "It goes on with that key."
    )
}
"""What a state means, where its name does not say it."""

_FEW = 3


def state_of(key: APIKey, now: datetime) -> SafeString:
    """The state of a key as a coloured word."""
    state = key.state(now)
    if state is KeyState.ACTIVE and _ends_soon(key, now):
        return badge("expiring", _("expiring soon"))
    return badge(state.value, str(state.label), WHY.get(state, ""))


def key_of(key: APIKey) -> SafeString:
    """What people know a key by: its name if it has one, and its first characters."""
    start = format_html("<code>{}…</code>", key.preview)
    return format_html("{}<br>{}", key.name, start) if key.name else start


def some_of(scopes: Sequence[str]) -> SafeString | str:
    """The first scopes; all of them are there for who asks."""
    if len(scopes) <= _FEW:
        return ", ".join(scopes)
    some, more = ", ".join(scopes[:_FEW]), len(scopes) - _FEW
    return format_html('<span title="{}">{} +{}</span>', ", ".join(scopes), some, more)


def short(text: str, head: int, tail: int = 0) -> SafeString | str:
    """The first ``head`` and the last ``tail`` characters; all of ``text`` is in the tooltip."""
    if len(text) <= head + tail + 1:
        return text
    end = text[-tail:] if tail else ""
    return format_html('<span title="{}">{}…{}</span>', text, text[:head], end)


def moment(at: datetime) -> SafeString:
    """A moment to the second with its zone, such as ``2026-11-26 13:27:05 UTC``."""
    local = timezone.localtime(at)
    return format_html(
        '<time class="pikku-moment" datetime="{}"><span>{}</span> <span>{}</span></time>',
        at.isoformat(),
        f"{local:%Y-%m-%d}",
        f"{local:%H:%M:%S %Z}",
    )


def moment_of(name: str, label: Any) -> Callable[[Any, Any], SafeString | str]:
    """A read-only field that shows the moment in the attribute ``name`` of a row."""

    @admin.display(description=label, ordering=name)
    def shown(_modeladmin: Any, row: Any) -> SafeString | str:
        at = getattr(row, name)
        return "-" if at is None else moment(at)

    return shown


def badge(kind: str, label: str, why: Any = "") -> SafeString:
    """A coloured word; the colours of ``kind`` are in ``admin.css``, and ``why`` for who asks."""
    title = format_html(' title="{}"', why) if why else ""
    return format_html('<span class="pikku-state pikku-{}"{}>{}</span>', kind, title, label)


def ago(at: datetime | None) -> SafeString | str:
    """How long ago; the exact at is there for who asks."""
    if at is None:
        return _("never")
    now = timezone.now()
    if now - at < timedelta(minutes=1):
        return _time(at, _("just now"))
    time = timesince(at, now, time_strings=IN_OR_AGO, depth=1)
    return _time(at, _("%(time)s ago") % {"time": time})


def ahead(at: datetime | None) -> SafeString | str:
    """How far ahead, or how long ago."""
    now = timezone.now()
    if at is None or at <= now:
        return ago(at)
    time = timeuntil(at, now, time_strings=IN_OR_AGO, depth=1)
    return _time(at, _("in %(time)s") % {"time": time})


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


def _time(at: datetime, words: str) -> SafeString:
    exact = f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)
