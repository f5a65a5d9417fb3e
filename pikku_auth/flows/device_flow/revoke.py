"""Ending every login of a human, and each that is not yet one."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from pikku_auth.flows.audit import CODE, AuditContext
from pikku_auth.flows.device_flow.approval import withdraw
from pikku_auth.flows.logins import open_logins, revoke_login
from pikku_auth.models import LoginSession
from pikku_auth.models.users import User


def revoke_logins(
    user: User,
    *,
    besides: LoginSession | None = None,
    reason: str = "",
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> int:
    """End every live login of ``user`` except ``besides``, and return how many were ended.

    Also logins of inactive users, which would work again once the user is active. Codes that are
    not yet exchanged are cancelled.
    """
    return len(end_logins(user, besides=besides, reason=reason, context=context, now=now))


def end_logins(
    user: User,
    *,
    besides: LoginSession | None = None,
    reason: str = "",
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> list[LoginSession]:
    """As :func:`revoke_logins`; those that it has ended."""
    now = now or timezone.now()
    withdraw(user, context=context, now=now)
    return [
        login
        for login in open_logins([user], now=now)
        if login != besides and revoke_login(login, reason=reason, context=context, now=now)
    ]
