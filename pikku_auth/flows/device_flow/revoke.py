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
    """End every login of ``user`` that is not over, save ``besides``. How many that were.

    Also one that is refused for now, such as an inactive human's: it must not come back with
    them. A login that is approved and not yet fetched, or not yet decided, never comes to be.
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
