"""End a credential that its holder presents (RFC 7009): to have it is enough to end it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.flows.audit import CODE, AuditContext
from pikku_auth.flows.credentials import Credential
from pikku_auth.flows.database import outage_is_not_a_refusal
from pikku_auth.flows.keys.revoke import revoke_key
from pikku_auth.flows.leak_lookup import find_leaked
from pikku_auth.flows.logins import revoke_login
from pikku_auth.flows.throttling import network_limits, says_who, spend_attempts
from pikku_auth.models import LoginSession

WRONG_TOKENS = Rate(60, timedelta(minutes=10))
"""Well-formed tokens that one network may present in vain."""

_REASON = "revoked by its holder"


def revoke_presented(
    presented: Credential, *, context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """End the key or the login that was presented. ``False`` if there is none, or it had ended.

    Its state does not matter, nor where it may be used: whoever has found it can do no better. The
    audit trail has its owner as the actor, and the address of ``context``.

    :raises TooManyAttempts: when the caller's network has presented too many that don't exist.
    :raises Unavailable: when the database can't be asked.
    """
    now = now or timezone.now()
    if presented.digest is None:
        return False
    with outage_is_not_a_refusal():
        found = find_leaked([presented.digest])
    if found is None:
        if says_who(context.ip):
            spend_attempts(network_limits("revoke", context.ip, WRONG_TOKENS), now)
        return False
    if isinstance(found, LoginSession):
        own = replace(context, actor=found.user)
        return revoke_login(found, reason=_REASON, context=own, now=now)
    owner = found.service_user
    own = replace(context, actor=owner.user, actor_name=owner.name)
    return revoke_key(found, reason=_REASON, context=own, now=now)
