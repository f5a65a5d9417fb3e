"""Changing what bounds the use of a live key: its networks, its rate and its quota."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import InvalidInput, KeyNotLive
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import hold, primary
from pikku_auth.flows.keys import family
from pikku_auth.flows.keys.attenuation import bounds_of, require_within_bounds, wider_bounds
from pikku_auth.flows.keys.validation import of_bounds
from pikku_auth.models import APIKey, AuditEvent

_COLUMNS = {
    "networks": ["networks"],
    "rate": ["rate_count", "rate_period"],
    "quota": ["remaining"],
    "refill": ["refill_count", "refill_period"],
}


class Bounds(TypedDict, total=False):
    """What :func:`set_key_bounds` changes; what is left out stays as it is.

    No networks: any address. ``None``: no such limit. ``quota`` is how many calls are left.
    """

    networks: Iterable[str]
    rate: Rate | None
    quota: int | None
    refill: Rate | None


def set_key_bounds(
    key: APIKey,
    *,
    narrow_only: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
    **bounds: Unpack[Bounds],
) -> bool:
    """Change from where, and how often, a live key may be used, from the next request on.

    What it may *do*, and its metadata, only a new key can change. A new refill is counted from
    ``now``. ``narrow_only`` is for those who may not mint: the key may then be used in no way in
    which it could not be used before. ``False`` if everything was so already.

    A key that another has minted stays within the bounds of that; and the keys that it has minted
    itself are held within its own from then on.

    :raises ExceedsParent: when the key would go beyond the bounds of the key that has minted it.
    :raises KeyNotLive: when the key is revoked or expired.
    :raises InvalidInput: when a value breaks its rule, or ``narrow_only`` forbids it.
    """
    using, now = primary(), now or timezone.now()
    rows = APIKey.objects.using(using).alive(now).filter(pk=key.pk)
    with transaction.atomic(using=using):
        parent = family.held_parent_of(key, using)
        if not hold(rows, "enabled"):
            raise KeyNotLive("key", _over(key))
        row = APIKey.objects.using(using).select_related("service_user").get(pk=key.pk)
        before, columns = bounds_of(row), _columns(row, bounds)
        changed = {name: value for name, value in columns.items() if value != getattr(row, name)}
        if changed:
            _change(rows, row, changed, now)
            after = bounds_of(row)
            if narrow_only:
                _require_narrower(before, after)
            if parent is not None:
                require_within_bounds(parent, after)
            family.bound_children(row, using)
            _tell(row, before, after, context, now, using)
    for name in [*columns, "refilled_at"]:
        setattr(key, name, getattr(row, name))
    return bool(changed)


def shorten_key(
    key: APIKey, end: datetime, *, context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """Let a live key, and the keys that it has minted, end at ``end``, which is earlier.

    ``False`` if that is its end already.

    :raises KeyNotLive: when the key is revoked or expired.
    :raises InvalidInput: when ``end`` is over, or later than the end that the key has.
    """
    using, now = primary(), now or timezone.now()
    if end <= now:
        raise InvalidInput("lifetime", _("The end of a key has to be in the future: revoke it."))
    with transaction.atomic(using=using):
        rows = APIKey.objects.using(using).alive(now).filter(pk=key.pk)
        outlives = rows.filter(Q(expires_at=None) | Q(expires_at__gt=end))
        before = key.expires_at
        changed = bool(outlives.update(expires_at=end))
        key.refresh_from_db(using=using, fields=["expires_at", "revoked_at"])
        if changed:
            family.shorten_children(key, using)
            _tell(key, {"expires_at": before}, {"expires_at": end}, context, now, using)
        elif not rows.exists():
            raise KeyNotLive("key", _over(key))
        elif key.expires_at != end:
            raise InvalidInput("lifetime", _("The end of a key can only be brought forward."))
    return changed


def _over(key: APIKey) -> str:
    over = _("The key %(key)s is revoked or expired, so its bounds can't be changed.")
    return over % {"key": key}


def _columns(row: APIKey, bounds: Bounds) -> dict[str, Any]:
    """The columns of the bounds that were given, checked beside those that stay."""
    given: dict[str, Any] = {**bounds}
    if bounds.get("quota", 1) is None:
        given = {"refill": None, **given}
    present = bounds_of(row)
    if present["quota"] == 0:  # used up, which is no quota to ask for
        present["quota"] = 1
    columns = of_bounds(**{**present, **given})
    return {name: columns[name] for field in given for name in _COLUMNS[field]}


def _change(rows: Any, row: APIKey, changed: dict[str, Any], now: datetime) -> None:
    if "refill_count" in changed or "refill_period" in changed:
        changed["refilled_at"] = now
    rows.update(**changed)
    for name, value in changed.items():
        setattr(row, name, value)


def _require_narrower(before: dict[str, Any], after: dict[str, Any]) -> None:
    for field in wider_bounds(before, after):
        raise InvalidInput(
            field,
            _(
                "You may narrow the bounds of a key, but not widen or move them: that needs "
                "the right to mint it."
            ),
        )


def _tell(
    key: APIKey,
    before: dict[str, Any],
    after: dict[str, Any],
    context: AuditContext,
    now: datetime,
    using: str,
) -> None:
    changed = [field for field in before if before[field] != after[field]]
    was, is_now = (
        {field: _in_json(values[field]) for field in changed} for values in (before, after)
    )
    action = AuditEvent.Action.KEY_BOUNDS_SET
    record(action, context=context, now=now, using=using, key=key, before=was, after=is_now)
    announce(signals.key_bounds_set, APIKey, using, key=key, before=was, context=context)


def _in_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Rate) else value
