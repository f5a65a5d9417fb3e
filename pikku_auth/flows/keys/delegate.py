"""Keys that make keys: an orchestrator's key makes one for each of its sandboxes.

The new key is a *child*: it has no more than its parent, and stops with it
(:mod:`pikku_auth.flows.keys.family`). A child makes no keys itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.conf import conf
from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import AUTH, Grant, covers
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import ExceedsParent
from pikku_auth.flows.audit import CODE, AuditContext
from pikku_auth.flows.ceilings import require_within_ceiling
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys import attenuation, family, validation
from pikku_auth.flows.keys.mint import IssuedKey, active_owner, tell_minted
from pikku_auth.flows.keys.validation import Lifetime
from pikku_auth.flows.privileges import require_covers
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.principal import Principal

MINTING = f"{AUTH}:mint"
"""What a key needs to have children: by its scopes we know which keys may have any."""

AsParent = Literal["parent"]
"""As the parent has it, as far as it may give it away."""


def mint_child(
    principal: Principal,
    service_user: ServiceUser | str,
    *,
    name: str = "",
    scopes: Grant = (),
    lifetime: Lifetime = "default",
    metadata: Mapping[str, Any] | None = None,
    networks: Iterable[str] = (),
    rate: Rate | AsParent | None = "parent",
    quota: int | AsParent | None = "parent",
    refill: Rate | AsParent | None = "parent",
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> IssuedKey:
    """Make a key of ``service_user`` by the key of ``principal``, which becomes its parent.

    The options are those of :func:`~pikku_auth.flows.mint_key`. What is left out is as the
    parent has it; by default the key lives as long as others do, or as its parent. Who
    may call this at all, :mod:`pikku_auth.flows.keys.managers` decides.

    :raises ExceedsParent: when the key would have, or could do, what its parent can't.
    :raises KeyLimitReached: when the parent has as many keys alive as it may.
    :raises KeyNotLive: when the parent has just ended.
    :raises UnknownServiceUser: when there is no service user of that name.
    :raises InvalidInput: when a value breaks its rule. Nothing is made then.
    """
    using, now = primary(), now or timezone.now()
    if principal.key is None:
        raise TypeError("Only the principal of a key can have children.")
    if not covers(principal.key.permissions, MINTING):
        only = _("Only a key with the scope %(scope)s makes keys.") % {"scope": MINTING}
        raise ExceedsParent("scopes", only)
    owner, secret = active_owner(service_user), generate(conf.prefixes.key)
    with transaction.atomic(using=using):
        parent = family.held_key(principal.key.pk, using)
        family.admit(parent, now, using)
        values = validation.of_key(
            name=name,
            scopes=scopes,
            lifetime=_lifetime(lifetime, parent, now),
            metadata=attenuation.metadata_within(parent, metadata or {}),
            networks=networks,
            **_bounds(parent, rate=rate, quota=quota, refill=refill),
            now=now,
        )
        granted = values["permissions"]
        attenuation.require_within_scopes(principal, parent, granted)
        require_within_ceiling(owner, granted)
        attenuation.require_within_end(parent, values["expires_at"])
        key = APIKey(
            service_user=owner,
            preview=secret.preview,
            digest=secret.digest,
            created_at=now,
            created_by=context.actor,
            **values,
            **family.inherited(parent, owner),
        )
        attenuation.require_within_bounds(parent, attenuation.bounds_of(key))
        if owner.pk != parent.service_user_id:
            require_covers(principal.user, owner, granted)
        key.save(using=using, force_insert=True)
        tell_minted(key, context, now, using)
    return IssuedKey(key, secret)


def _lifetime(given: Lifetime, parent: APIKey, now: datetime) -> Lifetime:
    """That of a key for which nobody asked: the usual one, or until its parent ends."""
    usual = validation.capped(conf.default_key_lifetime)
    if given != "default" or parent.expires_at is None:
        return given
    rest = parent.expires_at - now
    return rest if usual is None else min(rest, usual)


def _bounds(parent: APIKey, **given: Any) -> dict[str, Any]:
    own = attenuation.most_of(parent)
    return {name: own[name] if value == "parent" else value for name, value in given.items()}
