"""What is done to a key is done to the keys that it has minted: by one UPDATE, in its transaction.

A child says in columns of its own what its parent is now, because a request reads one row. So
whoever changes a parent tells its children here; and whoever makes a child, or the successor of
one, first holds the parent (:func:`held_key`, :func:`admit`), so that none is made behind its
back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, DurationField, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Greatest, Least
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.core.permissions import AUTH
from pikku_auth.exceptions import KeyLimitReached, KeyNotLive
from pikku_auth.flows.accounts import is_sign_in
from pikku_auth.flows.audit import announce
from pikku_auth.flows.cache import stamps
from pikku_auth.flows.database import hold, primary, unless_missing
from pikku_auth.models import APIKey, KeyState, ServiceUser

_MAKES_KEYS = {KeyState.ACTIVE, KeyState.EXHAUSTED}

children_changed = Signal()
"""``parents``: the ids of keys whose children are to be looked at again. Sent after the commit."""


def may_have_children(key: APIKey) -> bool:
    """Whether ``key`` has ever been allowed to mint: its scopes don't change."""
    return AUTH in key.permissions


def children_of(key: APIKey, *, now: datetime | None = None) -> QuerySet[APIKey]:
    """The keys that ``key`` has minted and that are neither revoked nor expired at ``now``."""
    keys = APIKey.objects.using(primary()).select_related("service_user__user")
    return keys.alive(now or timezone.now()).filter(parent_id=key.pk).order_by("pk")


def admit(parent: APIKey, now: datetime, using: str, *, room_for: int = 1) -> None:
    """Insist that ``parent``, which is held, may have one more key, and hold its service user, too.

    So of this and of what ends the parent, or its service user, one comes after the other and
    sees it.

    :raises KeyNotLive: when the parent is not good any more.
    :raises KeyLimitReached: when it has as many children alive as it may.
    """
    parent.service_user = held_service_user(parent.service_user_id, using)
    if parent.state(now) not in _MAKES_KEYS:
        not_good = _("The key %(key)s, which makes keys, is not good any more.") % {"key": parent}
        raise KeyNotLive("parent", not_good)
    most = parent.delegate.most
    alive = APIKey.objects.using(using).alive(now).filter(parent_id=parent.pk)
    if room_for and len(alive.values_list("pk", flat=True)[:most]) + room_for > most:
        raise KeyLimitReached(parent, most)


def held_parent_of(key: APIKey, using: str) -> APIKey | None:
    """The parent of ``key``, good or not, which nobody changes before this commits.

    A rotation may give ``key`` another one while this waits for the first.
    """
    rows, parent, pk = APIKey.objects.using(using).filter(pk=key.pk), None, key.parent_id
    while pk is not None and (parent is None or parent.pk != pk):
        parent = held_key(pk, using)
        pk = rows.values_list("parent_id", flat=True).get()
    return parent


def held_key(pk: Any, using: str) -> APIKey:
    """The key as it is now, which nobody changes before this commits."""
    rows = APIKey.objects.using(using).filter(pk=pk)
    hold(rows, "enabled")
    return rows.get()


def held_service_user(pk: Any, using: str) -> ServiceUser:
    """The service user as it is now, which nobody changes before this commits."""
    rows = ServiceUser.objects.using(using).filter(pk=pk)
    hold(rows, "is_active")
    return rows.select_related("user").get()


def inherited(parent: APIKey, service_user: ServiceUser) -> dict[str, Any]:
    """The columns of a child of ``service_user`` that say what its parent is now."""
    is_own = parent.service_user_id == service_user.pk
    return {
        "parent": parent,
        "is_suspended": False,
        "parent_scopes": None if is_own else parent.service_user.scopes,
        "parent_networks": parent.networks,
    }


def revoke_children(parent: APIKey, now: datetime, using: str) -> int:
    """Revoke those of a key that is revoked, and say how many there were."""
    reason = f"with its parent {parent.preview}…"
    return _change(parent, using, revoked_at=now, revoke_reason=reason)


def hand_over_children(parent: APIKey, successor: APIKey, using: str) -> int:
    """Give those of a rotated key to its successor. None outlives that."""
    changes: dict[str, Any] = {"parent": successor}
    if successor.expires_at is not None:
        changes["expires_at"] = not_after(successor.expires_at)
    return _change(parent, using, **changes)


def switch_children(parent: APIKey, using: str) -> int:
    """Stop those of a key that was disabled, or let them go on if it was enabled."""
    stopped = not (parent.enabled and parent.service_user.is_usable)
    return _change(parent, using, is_suspended=stopped)


def bound_children(parent: APIKey, using: str) -> int:
    """Hold those of a key within its bounds, which have changed."""
    changes: dict[str, Any] = {"parent_networks": parent.networks}
    if parent.rate is not None:
        count, period = parent.rate.count, parent.rate.period
        changes |= {
            "rate_count": Least(_or("rate_count", count), _count(count)),
            "rate_period": Greatest(_or("rate_period", period), _period(period)),
        }
    if parent.remaining is not None:
        changes["remaining"] = Least(_or("remaining", parent.remaining), _count(parent.remaining))
        changes |= _refill_within(parent)
    return _change(parent, using, **changes)


def shorten_children(parent: APIKey, using: str) -> int:
    """Let none outlive a key that ends earlier now."""
    end = parent.expires_at
    return 0 if end is None else _change(parent, using, expires_at=not_after(end))


def follow_service_user(service_user: ServiceUser, using: str) -> None:
    """Have the children of its keys stop, go on, and be bounded as ``service_user`` is now."""
    own = APIKey.objects.using(using).filter(service_user_id=service_user.pk)
    with_children = own.filter(children__isnull=False).order_by("pk")
    enabled = dict(with_children.values_list("pk", "enabled").distinct())
    if not enabled:
        return
    children = APIKey.objects.using(using).filter(revoked_at=None)
    of_others = children.filter(parent_id__in=enabled).exclude(service_user_id=service_user.pk)
    of_others.update(parent_scopes=service_user.scopes)
    of_enabled = children.filter(parent_id__in=[pk for pk in enabled if enabled[pk]])
    of_enabled.update(is_suspended=not service_user.is_usable)
    stamps.change(*(APIKey(pk=pk) for pk in enabled), using=using)
    announce(children_changed, APIKey, using, parents=list(enabled))


def follow_saved_user(
    *, instance: Any, using: str, created: bool, update_fields: Any = None, **_kwargs: object
) -> None:
    """Have them follow what the host has made of the Django user. Receives ``post_save``."""
    if not (created or is_sign_in(update_fields)):
        _follow_user(instance, using, is_there=True)


def follow_deleted_user(*, instance: Any, using: str, **_kwargs: object) -> None:
    """Have them stop with the Django user. Receives ``pre_delete``."""
    _follow_user(instance, using, is_there=False)


def _follow_user(user: Any, using: str, *, is_there: bool) -> None:
    with unless_missing(ServiceUser, using):
        rows = ServiceUser.objects.using(using).filter(user_id=user.pk)
        service_user = rows.first()
        if service_user is not None:
            with transaction.atomic(using=using):
                hold(rows, "is_active")
                service_user.user = user if is_there else None
                follow_service_user(service_user, using)


def _change(parent: APIKey, using: str, /, **changes: Any) -> int:
    if not may_have_children(parent):
        return 0
    children = APIKey.objects.using(using).filter(parent_id=parent.pk, revoked_at=None)
    return children.update(**changes)


def not_after(end: datetime) -> Case:
    """``expires_at``, or ``end`` if that is earlier, for an UPDATE."""
    outlives = Q(expires_at=None) | Q(expires_at__gt=end)
    return Case(When(outlives, then=Value(end)), default=F("expires_at"))


def _refill_within(parent: APIKey) -> dict[str, Any]:
    """Of a refill, each child keeps what is within its parent's; without one there is none."""
    if parent.refill is None:
        return {"refill_count": None, "refill_period": None}
    count, period = parent.refill.count, parent.refill.period
    has_one = Q(refill_count__isnull=False)
    return {
        "refill_count": Case(When(has_one, then=Least(F("refill_count"), _count(count)))),
        "refill_period": Case(When(has_one, then=Greatest(F("refill_period"), _period(period)))),
    }


def _or(column: str, value: Any) -> Coalesce:
    return Coalesce(F(column), _count(value) if isinstance(value, int) else _period(value))


def _count(value: int) -> Value:
    return Value(value, output_field=IntegerField())


def _period(value: Any) -> Value:
    return Value(value, output_field=DurationField())
