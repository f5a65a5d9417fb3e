"""Who may do what to keys from elsewhere: a machine by its key, a human by Django's permissions.

A machine needs a scope of the resource ``auth``, and acts for its own service user and those that
its key names. A human needs what the admin asks for; if they come with a login, that must have
asked for the scope by name, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.core.delegation import EVERY, Delegation
from pikku_auth.core.durations import require_positive
from pikku_auth.core.permissions import missing, normalise
from pikku_auth.exceptions import (
    ExceedsParent,
    InsufficientScope,
    KeyNotFound,
    MayNot,
    NotYourServiceUser,
    ServiceUserWanted,
    UnknownServiceUser,
)
from pikku_auth.flows.audit import AuditContext
from pikku_auth.flows.ceilings import GRANT_ANY_SCOPE, require_grantable
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys import attenuation
from pikku_auth.flows.keys.bounds import shorten_key
from pikku_auth.flows.keys.delegate import MINTING, mint_child
from pikku_auth.flows.keys.mint import IssuedKey, mint_key
from pikku_auth.flows.keys.revoke import disable_key, enable_key, rename_key, revoke_key
from pikku_auth.flows.keys.rotate import DEFAULT_OVERLAP, rotate_key
from pikku_auth.flows.keys.validation import named
from pikku_auth.flows.privileges import manageable, may_manage, require_covers
from pikku_auth.flows.request_ids import once
from pikku_auth.flows.service_users import get_service_user
from pikku_auth.flows.throttling import KEYS_MANAGED, spend_attempt
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.models.keys import APIKeyQuerySet
from pikku_auth.principal import Principal

_ID = re.compile("[0-9]{1,18}")


class Act(NamedTuple):
    """What is done to a key: the scope of a credential, and Django's permission of a human."""

    scope: str
    permission: str


MINT = Act(MINTING, "pikku_auth.mint_apikey")
ROTATE = Act("auth:rotate", "pikku_auth.mint_apikey")
REVOKE = Act("auth:revoke", "pikku_auth.revoke_apikey")
RENAME = Act(MINTING, "pikku_auth.change_apikey")
ENABLE = MINT
"""As minting: whoever lets a key go on could as well make one."""
READ = Act("auth:read", "pikku_auth.view_apikey")


@dataclass(frozen=True, slots=True)
class Manager:
    """Who manages keys: ``human`` is ``None`` for a machine, whose ``principal`` has the key."""

    principal: Principal | None
    human: Any = None

    def __str__(self) -> str:
        """A name that tells managers apart."""
        return f"user:{self.human.pk}" if self.human else str(self.principal)

    @property
    def key(self) -> APIKey | None:
        """The key of a machine."""
        return None if self.principal is None else self.principal.key


def manager_of(principal: Principal | None, user: Any) -> Manager:
    """Who manages keys: ``user`` by the browser's session, or who comes with a credential.

    A human's row is read anew, because what a login brings is bounded by its scopes.
    """
    if principal is None:
        return Manager(None, user)
    if principal.key is not None:
        return Manager(principal)
    rows: Any = type(user)._default_manager
    return Manager(principal, rows.using(primary()).get(pk=user.pk))


def require_may(manager: Manager, act: Act, service_user: ServiceUser) -> None:
    """Insist that ``manager`` may do ``act`` to keys of ``service_user``.

    :raises InsufficientScope: when the credential lacks the scope, or did not ask for it by name.
    :raises MayNot: when the human lacks Django's permission.
    :raises NotYourServiceUser: when it is not theirs to manage.
    """
    require_at_all(manager, act)
    is_theirs = (
        may_manage(manager.human, service_user)
        if manager.human
        else manager.key is not None and manager.key.acts_for(service_user)
    )
    if not is_theirs:
        raise NotYourServiceUser(service_user.name)


def require_at_all(manager: Manager, act: Act) -> None:
    """Insist that ``manager`` may do ``act`` to any key.

    :raises InsufficientScope: when the credential lacks the scope, or did not ask for it by name.
    :raises MayNot: when the human lacks Django's permission.
    """
    principal = manager.principal
    if principal is not None:
        asked_for = principal.login.permissions if principal.login else principal.permissions
        if missing(asked_for or {}, [act.scope]) or missing(principal.permissions, [act.scope]):
            raise InsufficientScope([act.scope])
    if manager.human and not manager.human.has_perm(act.permission):
        raise MayNot(act.permission)


def service_users_of(manager: Manager) -> QuerySet[ServiceUser]:
    """Those whose keys ``manager`` may manage, as far as it may at all."""
    if manager.human:
        return manageable(manager.human)
    rows, key = ServiceUser.objects.using(primary()), manager.key
    if key is None or EVERY in key.delegate.service_users:
        return rows.all() if key else rows.none()
    return rows.filter(Q(pk=key.service_user_id) | Q(name__in=key.delegate.service_users))


def service_user_for(manager: Manager, name: str | None, act: Act) -> ServiceUser:
    """The service user of that name, to whose keys ``manager`` may do ``act``.

    Without a name it is the machine's own. Whether there is another, nobody is told.

    :raises ServiceUserWanted: when a human names none.
    :raises Refused: as :func:`require_may`.
    """
    require_at_all(manager, act)
    if name is None:
        if manager.key is None:
            raise ServiceUserWanted
        return manager.key.service_user
    try:
        found = get_service_user(name)
    except UnknownServiceUser:
        raise NotYourServiceUser(name) from None
    require_may(manager, act, found)
    return found


def keys_of(manager: Manager) -> APIKeyQuerySet:
    """The keys that ``manager`` may know of, as far as it may at all."""
    rows = APIKey.objects.using(primary()).select_related("service_user__user")
    return rows.filter(service_user__in=service_users_of(manager))


def key_for(manager: Manager, pk: str, act: Act) -> APIKey:
    """The key with that id that is not revoked, if ``manager`` may do ``act`` to it.

    Letting go on, and getting the secret of a successor, a machine may only what it could have
    minted: itself, the keys that it has minted, and those that have no more than it has.

    :raises KeyNotFound: when there is none, or it is not theirs.
    :raises ExceedsParent: when the key has more than the machine that would get its secret.
    :raises Refused: as :func:`require_may`.
    """
    require_at_all(manager, act)
    rows = keys_of(manager).filter(revoked_at=None)
    found = rows.filter(pk=int(pk)).first() if _ID.fullmatch(pk) else None
    if found is None:
        raise KeyNotFound("key", _("There is no key %(key)r that you manage.") % {"key": pk})
    if act in {ROTATE, ENABLE} and manager.principal is not None and manager.key is not None:
        _require_within(manager.principal, manager.key, found)
    return found


def mint(
    manager: Manager,
    service_user: str | None,
    *,
    request_id: str | None = None,
    body: str = "",
    context: AuditContext,
    now: datetime | None = None,
    **options: Any,
) -> IssuedKey:
    """Make a key for ``manager``; ``options`` are those of the verbs.

    That of a machine is its child. A human needs what the admin asks for: no key can do what they
    may not. ``body`` is what was asked for, and ``request_id`` stands for it.

    :raises InvalidInput: as :func:`~pikku_auth.flows.keys.delegate.mint_child`, and as
        :func:`~pikku_auth.flows.request_ids.once`.
    :raises Refused: as :func:`require_may`.
    """
    now = now or timezone.now()
    owner = service_user_for(manager, service_user, MINT)
    _spend(manager, now)
    with once(str(manager), request_id, body, now) as held:
        if manager.human is None and manager.principal is not None:
            if options.pop("delegation", None) is not None:
                raise ExceedsParent("delegation", _("A key that was made by a key makes none."))
            issued = mint_child(manager.principal, owner, context=context, now=now, **options)
        else:
            _require_may_give(manager.human, owner, **options)
            issued = mint_key(owner, context=context, now=now, **options)
        held.made(issued.key)
    return issued


def rotate(
    manager: Manager,
    pk: str | None,
    *,
    overlap: timedelta | float | None = DEFAULT_OVERLAP,
    keep_children: bool = False,
    request_id: str | None = None,
    body: str = "",
    context: AuditContext,
    now: datetime | None = None,
) -> IssuedKey:
    """Rotate the key with that id, or that of the machine itself.

    :raises InvalidInput: as :func:`~pikku_auth.flows.rotate_key`, as :func:`key_for`, and as
        :func:`~pikku_auth.flows.request_ids.once`.
    :raises Refused: as :func:`require_may`.
    """
    now = now or timezone.now()
    if pk is None:
        if manager.key is None:
            raise KeyNotFound("key", _("Name the key that is to be rotated."))
        pk = str(manager.key.pk)
    require_at_all(manager, ROTATE)
    _spend(manager, now)
    with once(str(manager), request_id, body, now) as held:
        key = key_for(manager, pk, ROTATE)
        if manager.human is not None:
            require_covers(manager.human, key.service_user)
            require_grantable(manager.human, key.service_user, key.allowed)
            if overlap is None:
                require_at_all(manager, REVOKE)
        issued = rotate_key(
            key, overlap=overlap, keep_children=keep_children, context=context, now=now
        )
        held.made(issued.key)
    return issued


def update(
    manager: Manager,
    pk: str,
    *,
    name: str | None = None,
    lifetime: float | None = None,
    enabled: bool | None = None,
    context: AuditContext,
    now: datetime | None = None,
) -> APIKey:
    """Rename a key, bring its end forward to ``lifetime`` seconds from now, disable or enable it.

    All of what is given, or nothing.

    :raises InvalidInput: as the verbs, and as :func:`key_for`.
    :raises Refused: as :func:`require_may`.
    """
    now = now or timezone.now()
    wanted = {
        RENAME: name is not None,
        REVOKE: lifetime is not None or enabled is False,
        ENABLE: enabled is True,
    }
    keys = [key_for(manager, pk, act) for act, is_wanted in wanted.items() if is_wanted]
    _spend(manager, now)
    key = keys[-1]
    with transaction.atomic(using=primary()):
        if name is not None:
            rename_key(key, name, context=context, now=now)
        if lifetime is not None:
            with named("lifetime"):
                end = now + require_positive(lifetime)
            shorten_key(key, end, context=context, now=now)
        if enabled is not None:
            (enable_key if enabled else disable_key)(key, context=context, now=now)
    return key


def revoke(
    manager: Manager,
    pk: str,
    *,
    reason: str,
    context: AuditContext,
    now: datetime | None = None,
) -> None:
    """Revoke a key, and those that it has minted.

    :raises InvalidInput: as :func:`~pikku_auth.flows.revoke_key`, and as :func:`key_for`.
    :raises Refused: as :func:`require_may`.
    """
    now = now or timezone.now()
    key = key_for(manager, pk, REVOKE)
    _spend(manager, now)
    revoke_key(key, reason=reason, context=context, now=now)


def _spend(manager: Manager, now: datetime) -> None:
    """Count a change that ``manager`` asks for.

    :raises TooManyAttempts: when it has asked for too many.
    """
    spend_attempt(f"keys:{manager}", KEYS_MANAGED, now)


def _require_may_give(human: Any, owner: ServiceUser, **options: Any) -> None:
    require_covers(human, owner)
    with named("scopes"):
        permissions = normalise(options.get("scopes", ()))
    require_grantable(human, owner, permissions)
    delegation: Delegation | None = options.get("delegation")
    for name in () if delegation is None else delegation.service_users:
        is_theirs = (
            human.has_perm(GRANT_ANY_SCOPE)
            if name == EVERY
            else may_manage(human, get_service_user(name))
        )
        if not is_theirs:
            raise NotYourServiceUser(name)


def _require_within(principal: Principal, own: APIKey, key: APIKey) -> None:
    if own.pk in (key.pk, key.parent_id):
        return
    attenuation.require_within_scopes(principal, own, key.permissions)
    attenuation.require_within_bounds(own, attenuation.bounds_of(key))
    attenuation.require_within_end(own, key.expires_at)
    if attenuation.metadata_within(own, key.metadata) != key.metadata:
        raise ExceedsParent("metadata", _("That key lacks metadata that this one has."))
    require_covers(principal.user, key.service_user, key.permissions)
