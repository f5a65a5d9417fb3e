"""Audit events in words, for people who need to know what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pikku_auth.admin.display import in_words
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser

MOST_TOLD = 200
"""How many events the history of one row shows, the newest ones."""

_LINKS: dict[type, str] = {APIKey: "key", LoginSession: "login", ServiceUser: "service_user"}

Details = Mapping[str, Any]


def link_of(row: object) -> str:
    """Which link of an event leads to ``row``, or an empty one."""
    return _LINKS.get(type(row), "")


def story_of(row: object) -> list[AuditEvent]:
    """What happened to a key, a login, or a service user with its keys, the newest first."""
    link = link_of(row)
    if not link:
        return []
    return list(AuditEvent.objects.filter(**{link: row}).order_by("-at", "-pk")[:MOST_TOLD])


def told(event: AuditEvent) -> str:
    """One event as a sentence, without who and when."""
    tell = _TOLD.get(AuditEvent.Action(event.action))
    what = str(event.get_action_display()).capitalize()
    more = tell(event.details) if tell else ""
    return f"{what}: {more}" if more else what


def _minted(details: Details) -> str:
    scopes = ", ".join(details.get("scopes") or []) or _("no scopes")
    expires_at, parent = details.get("expires_at"), details.get("parent")
    ends = _("expires %(when)s") % {"when": _to_the_minute(expires_at)} if expires_at else ""
    by = _("by key %(pk)s") % {"pk": parent} if parent else ""
    return "; ".join(filter(None, [scopes, ends or _("never expires"), by]))


def _to_the_minute(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC"


def _rotated(details: Details) -> str:
    overlap, successor = details.get("overlap_seconds"), details.get("successor")
    if not overlap:
        told = _("at once, by key %(pk)s") % {"pk": successor}
    else:
        lasts = in_words(timedelta(seconds=overlap))
        told = _("by key %(pk)s; it lives on for %(time)s") % {"pk": successor, "time": lasts}
    return "; ".join(filter(None, [told, _children(details)]))


def _reason(details: Details) -> str:
    return str(details.get("reason", ""))


def _revoked(details: Details) -> str:
    return "; ".join(filter(None, [_reason(details), _children(details)]))


def _children(details: Details) -> str:
    """How many of the keys that it had minted went with it, or to its successor."""
    kept = details.get("children_kept", 0)
    if kept:
        told = ngettext(
            "%(n)d key that it had minted goes on", "%(n)d keys that it had minted go on", kept
        )
        return told % {"n": kept}
    count = details.get("children", 0)
    told = ngettext(
        "with %(n)d key that it had minted", "with %(n)d keys that it had minted", count
    )
    return told % {"n": count} if count else ""


def _renamed(details: Details) -> str:
    return _("it was called “%(name)s”") % {"name": details.get("before", "")}


def _adopted(details: Details) -> str:
    return _("of an existing user") if details.get("adopted") else ""


def _bounds(details: Details) -> str:
    names = {
        "networks": _("allowed networks"),
        "rate": _("rate limit"),
        "quota": _("quota"),
        "refill": _("refill"),
        "expires_at": _("expires at"),
    }
    changes = _("%(what)s from %(before)s to %(after)s")
    before, after = details.get("before", {}), details.get("after", {})
    return "; ".join(
        changes
        % {
            "what": name,
            "before": _bound(field, before[field]),
            "after": _bound(field, after.get(field)),
        }
        for field, name in names.items()
        if field in before
    )


def _bound(field: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or _("any")
    if value is None:
        return _("never") if field == "expires_at" else _("none")
    return _to_the_minute(value) if field == "expires_at" else str(value)


def _ceiling(details: Details) -> str:
    texts = [
        _("none") if scopes is None else ", ".join(scopes) or _("nothing")
        for scopes in (details.get("before"), details.get("scopes"))
    ]
    return _("from %(before)s to %(after)s") % {"before": texts[0], "after": texts[1]}


def _contacts(details: Details) -> str:
    texts = [", ".join(details.get(name) or []) or _("nobody") for name in ("before", "contacts")]
    return _("from %(before)s to %(after)s") % {"before": texts[0], "after": texts[1]}


def _scope(details: Details) -> str:
    return str(details.get("scope", ""))


def _pruned(details: Details) -> str:
    told = _("%(keys)s keys, %(logins)s logins, %(events)s events") % {
        name: details.get(name, 0) for name in ("keys", "logins", "events")
    }
    count = details.get("addresses", 0)
    erased = ngettext("%(n)d address erased", "%(n)d addresses erased", count) % {"n": count}
    return "; ".join([told, erased] if count else [told])


def _forgotten(details: Details) -> str:
    count = details.get("events", 0)
    return ngettext("%(n)d event changed", "%(n)d events changed", count) % {"n": count}


_TOLD: dict[AuditEvent.Action, Callable[[Details], str]] = {
    AuditEvent.Action.KEY_MINTED: _minted,
    AuditEvent.Action.KEY_ROTATED: _rotated,
    AuditEvent.Action.KEY_REVOKED: _revoked,
    AuditEvent.Action.KEY_DISABLED: _children,
    AuditEvent.Action.KEY_ENABLED: _children,
    AuditEvent.Action.KEY_RENAMED: _renamed,
    AuditEvent.Action.KEY_BOUNDS_SET: _bounds,
    AuditEvent.Action.LOGIN_STARTED: _scope,
    AuditEvent.Action.LOGIN_REVOKED: _reason,
    AuditEvent.Action.SERVICE_USER_CREATED: _adopted,
    AuditEvent.Action.SERVICE_USER_SCOPES_SET: _ceiling,
    AuditEvent.Action.SERVICE_USER_CONTACTS_SET: _contacts,
    AuditEvent.Action.PRUNED: _pruned,
    AuditEvent.Action.HUMAN_FORGOTTEN: _forgotten,
}
