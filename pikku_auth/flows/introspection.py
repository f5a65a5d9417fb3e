"""Tell a resource server about a credential that was presented to it (RFC 7662)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import AUTH
from pikku_auth.exceptions import InsufficientScope, NotAuthenticated, Refused, Unavailable
from pikku_auth.flows import judgements
from pikku_auth.flows.credentials import Credential
from pikku_auth.flows.keys.verify import count_call, examine_digest, principal_of_key
from pikku_auth.flows.logins import examine_login, note_use, principal_of_login
from pikku_auth.flows.mapping import mapped
from pikku_auth.flows.throttling import spend_attempt
from pikku_auth.models import APIKey
from pikku_auth.principal import Principal

OF_KEYS = f"{AUTH}:introspect"
"""The scope of a resource server that asks about keys."""

OF_LOGINS = f"{AUTH}:introspect_logins"
"""The scope of one that asks about the logins of humans."""

INACTIVE_ONES = Rate(500, timedelta(seconds=30))
"""Well-formed credentials that are not active, of which one resource server is told."""


def introspect(
    caller: Principal | None,
    presented: Credential,
    request: HttpRequest,
    *,
    count: bool = False,
    now: datetime | None = None,
) -> Principal | None:
    """The principal of what was ``presented`` to the resource server ``caller``.

    ``None`` if it is not active, from ``presented.ip`` and for this caller: a key has to belong to
    a service user for which the caller's key acts. ``MAP_KEY`` and ``MAP_LOGIN`` have the last
    word, and are asked with the resource server's ``request``. With ``count`` an active one is
    used by this: one call of a key with limits is counted, and the use is noted. Without, nothing
    is written of it. Refusals are logged and signalled as those of a request are.

    :raises NotAuthenticated: when the caller has no key.
    :raises InsufficientScope: when its key may ask neither about keys nor about logins.
    :raises TooManyAttempts: when it has asked about too many that are not active. It is still told
        of those that are.
    :raises Unavailable: when the database can't be asked.
    """
    now = now or timezone.now()
    if caller is None or caller.key is None:
        raise NotAuthenticated
    if not (caller.has_scope(OF_KEYS) or caller.has_scope(OF_LOGINS)):
        raise InsufficientScope([OF_KEYS])
    examine = _key_for if presented.kind == "key" else _login_for
    try:
        found = examine(caller, caller.key, presented, now)
        if found is not None:
            found = mapped(found, request)
            if count:
                _use(found, presented.ip, now)
            judgements.tell(presented.kind, "introspection", found)
    except Refused as refusal:
        judgements.tell(presented.kind, "introspection", refusal)
        if isinstance(refusal, Unavailable):
            raise
        found = None
    if found is None and presented.digest is not None:
        spend_attempt(f"introspect:{caller}", INACTIVE_ONES, now)
    return found


def _key_for(
    caller: Principal, own: APIKey, presented: Credential, now: datetime
) -> Principal | None:
    if not caller.has_scope(OF_KEYS):
        return None
    key = examine_digest(presented.digest, ip=presented.ip, now=now)
    return principal_of_key(key) if own.acts_for(key.service_user) else None


def _login_for(
    caller: Principal, _own: APIKey, presented: Credential, now: datetime
) -> Principal | None:
    if not caller.has_scope(OF_LOGINS):
        return None
    return principal_of_login(examine_login(presented.digest, ip=presented.ip, now=now))


def _use(principal: Principal, ip: str | None, now: datetime) -> None:
    if principal.key is not None:
        count_call(principal.key, ip=ip, now=now)
    if principal.login is not None:
        note_use(principal.login, ip=ip, now=now)
