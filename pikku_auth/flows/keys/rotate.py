"""Rotating keys: a new secret takes over, and the old key ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.durations import require_positive
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.exceptions import InvalidInput, KeyNotLive
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys import family, validation
from pikku_auth.flows.keys.mint import IssuedKey, mint_key, tell_minted
from pikku_auth.flows.keys.revoke import tell_revoked
from pikku_auth.flows.service_users import get_service_user
from pikku_auth.models import APIKey, AuditEvent, KeyState, ServiceUser

DEFAULT_OVERLAP = timedelta(hours=24)
"""How long a rotated key lives on when nobody says."""

_INHERITED = (
    "service_user",
    "name",
    "permissions",
    "metadata",
    "networks",
    "delegation",
    "parent_id",
    "is_suspended",
    "parent_scopes",
    "parent_networks",
    "rate_count",
    "rate_period",
    "remaining",
    "refill_count",
    "refill_period",
    "refilled_at",
)
_COLUMNS = {
    "scopes": ["permissions"],
    "metadata": ["metadata"],
    "networks": ["networks"],
    "rate": ["rate_count", "rate_period"],
    "refill": ["refill_count", "refill_period"],
    "lifetime": ["expires_at"],
    "delegation": ["delegation"],
}
_LIVE = {KeyState.ACTIVE, KeyState.EXHAUSTED}


def rotate_key(
    key: APIKey,
    *,
    overlap: timedelta | float | None = DEFAULT_OVERLAP,
    keep_children: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> IssuedKey:
    """Make the successor of ``key``: a new secret, everything else as it was.

    The old key lives on for ``overlap`` (a ``timedelta``, or seconds), never longer than it would
    have; with ``None`` it is revoked at once, as after a leak. The successor gets the lifetime
    that the old one began with, and what is left of its quota. All or nothing: if this fails,
    the old key is as before.

    The keys that the old one has minted belong to its successor from then on. After a leak they
    are revoked with it, because nobody knows who has minted them, unless ``keep_children``. The
    successor of a key that another has minted ends with that at the latest.

    :raises KeyNotLive: when the key can't authenticate, or has a successor already.
    :raises KeyLimitReached: when the key that has minted it may have no more keys alive.
    :raises InvalidInput: when ``overlap`` is not positive.
    """
    using, now = primary(), now or timezone.now()
    overlap = _checked(overlap)
    ending = _ending(overlap, now)
    old = APIKey.objects.using(using).select_related("service_user__user").get(pk=key.pk)
    if not old.service_user.is_usable:
        raise KeyNotLive("key", _why_not_rotated(old, now))
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    secret = generate(conf.prefixes.key)
    with transaction.atomic(using=using):
        parent = family.held_parent_of(old, using)
        if parent is not None:
            family.admit(parent, now, using, room_for=0 if overlap is None else 1)
        # Columns of this row only: with a join, Django guards by a subquery, which
        # PostgreSQL does not ask again after waiting for a concurrent rotation.
        alive = APIKey.objects.using(using).alive(now)
        live = alive.filter(pk=old.pk, rotated_at=None, enabled=True, is_suspended=False)
        if not live.update(rotated_at=now, **ending):
            old.refresh_from_db(using=using)
            raise KeyNotLive("key", _why_not_rotated(old, now))
        old.refresh_from_db(using=using)
        end = _end_of_successor(lifetime, parent, now)
        successor = _create_successor(old, secret, end, context, now, using)
        if overlap is None and not keep_children:
            followed = {"children": family.revoke_children(old, now, using)}
        else:
            followed = {"children_kept": family.hand_over_children(old, successor, using)}
        _tell_rotated(old, successor, overlap, followed, context, now, using)
        # Inside, so that a kill can't fall between the commit and the caller's having the secret.
        key.refresh_from_db(using=using)
    return IssuedKey(successor, secret)


def mint_or_rotate(
    service_user: ServiceUser | str,
    *,
    name: str = "",
    overlap: timedelta | float | None = DEFAULT_OVERLAP,
    context: AuditContext = CODE,
    now: datetime | None = None,
    **options: Any,
) -> IssuedKey:
    """Rotate the live key of that name, or mint the first one: for a deployment to repeat.

    ``options`` are those of :func:`mint_key`. A rotation changes nothing of what a key
    may do, so each one that is given must say what the live key has.

    :raises InvalidInput: as :func:`mint_key` and :func:`rotate_key`, when several live keys
        have that name, or an option differs.
    """
    now = now or timezone.now()
    owner = (
        service_user if isinstance(service_user, ServiceUser) else get_service_user(service_user)
    )
    keys = APIKey.objects.using(primary()).select_related("service_user__user")
    named = keys.filter(
        service_user=owner, name=name, revoked_at=None, rotated_at=None, parent=None
    )
    # Some databases compare without regard to case, or to trailing spaces.
    live = [key for key in named if key.name == name and key.state(now) in _LIVE]
    if not live:
        return mint_key(owner, name=name, context=context, now=now, **options)
    if len(live) > 1:
        ids = ", ".join(str(key.pk) for key in live)
        raise InvalidInput(
            "name",
            (
                _("%(owner)s has %(n)d live keys named %(name)r: rotate one by its id (%(ids)s).")
                if name
                else _(
                    "%(owner)s has %(n)d live keys without a name: rotate one by its id (%(ids)s)."
                )
            )
            % {"owner": owner, "n": len(live), "name": name, "ids": ids},
        )
    _require_same(live[0], options)
    return rotate_key(live[0], overlap=overlap, context=context, now=now)


def _checked(overlap: timedelta | float | None) -> timedelta | None:
    with validation.named("overlap"):
        return None if overlap is None else require_positive(overlap)


def _ending(overlap: timedelta | None, now: datetime) -> dict[str, Any]:
    if overlap is None:
        return {"revoked_at": now, "revoke_reason": "rotated"}
    return {"expires_at": family.not_after(now + overlap)}


def _why_not_rotated(key: APIKey, now: datetime) -> str:
    state = key.state(now)
    if state is KeyState.ACTIVE or key.rotated_at is not None:
        successor = APIKey.objects.using(key._state.db).filter(rotated_from=key).first()
        rotated = _("The key %(key)s was rotated already: its successor is %(successor)s.")
        return rotated % {"key": key, "successor": successor}
    dead = _("The key %(key)s is %(state)s, and only a live key can be rotated: mint a new one.")
    return dead % {"key": key, "state": state.label}


def _require_same(key: APIKey, options: dict[str, Any]) -> None:
    asked = validation.of_key(now=key.created_at, **options)
    for option in options:
        if any(asked[column] != getattr(key, column) for column in _COLUMNS.get(option, ())):
            raise InvalidInput(
                option,
                _(
                    "The live key %(key)s has other %(option)s, and a rotation changes nothing of "
                    "what a key may do: leave that option out, or mint a key of another name and "
                    "revoke this one."
                )
                % {"key": key, "option": option},
            )


def _end_of_successor(
    lifetime: timedelta | None, parent: APIKey | None, now: datetime
) -> datetime | None:
    end = validation.expiry(validation.capped(lifetime), now)
    latest = None if parent is None else parent.expires_at
    return min(filter(None, (end, latest)), default=None)


def _create_successor(
    old: APIKey,
    secret: Secret,
    end: datetime | None,
    context: AuditContext,
    now: datetime,
    using: str,
) -> APIKey:
    return APIKey.objects.using(using).create(
        preview=secret.preview,
        digest=secret.digest,
        created_at=now,
        created_by=context.actor,
        rotated_from=old,
        expires_at=end,
        **{name: getattr(old, name) for name in _INHERITED},
    )


def _tell_rotated(
    old: APIKey,
    successor: APIKey,
    overlap: timedelta | None,
    followed: dict[str, int],
    context: AuditContext,
    now: datetime,
    using: str,
) -> None:
    details: Any = {name: count for name, count in followed.items() if count}
    record(
        AuditEvent.Action.KEY_ROTATED,
        context=context,
        now=now,
        using=using,
        key=old,
        successor=successor.pk,
        overlap_seconds=0 if overlap is None else int(overlap.total_seconds()),
        **details,
    )
    announce(signals.key_rotated, APIKey, using, key=old, successor=successor, context=context)
    tell_minted(successor, context, now, using)
    if overlap is None:
        tell_revoked(old, "rotated", context, now, using)
