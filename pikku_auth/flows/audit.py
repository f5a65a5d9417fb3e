"""The audit row of an action, and the signal after its commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import models, transaction
from django.dispatch import Signal

from pikku_auth import signals
from pikku_auth.core.text import readable, visible_ascii
from pikku_auth.flows.cache import stamps
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser
from pikku_auth.models.users import username_of


@dataclass(frozen=True, slots=True)
class AuditContext:
    """Who acts, by which source, from where, for the audit row.

    ``source`` is ``admin``, ``web``, ``http`` (keys over HTTP), ``command`` or ``code``; a host may
    give a word of its own, of which 20 characters are kept. ``actor`` is a user or ``None``.
    ``actor_name`` names an actor that is not a user, such as the ``root`` who runs a command.
    """

    source: str = "code"
    actor: Any = None
    actor_name: str = ""
    ip: str | None = None
    user_agent: str = ""


CODE = AuditContext()


def record(
    action: AuditEvent.Action,
    *,
    context: AuditContext,
    now: datetime,
    using: str,
    key: APIKey | None = None,
    login: LoginSession | None = None,
    service_user: ServiceUser | None = None,
    subject: str = "",
    **details: Any,
) -> None:
    """Append the audit row, and announce it. Call it inside the action's transaction.

    What the cache has of the rows that are named is good for nothing from then on.
    """
    changed = [row for row in (key, login, service_user) if row is not None]
    if key is not None:
        service_user = key.service_user
    event = AuditEvent.objects.using(using).create(
        at=now,
        action=action,
        subject=readable(subject or _subject(key, login, service_user))[:300],
        service_user=service_user,
        key=key,
        login=login,
        actor=context.actor,
        actor_name=readable(context.actor_name or username_of(context.actor))[:254],
        source=readable(context.source)[:20],
        ip=context.ip,
        user_agent=visible_ascii(context.user_agent)[:200],
        details=details,
    )
    stamps.change(*changed, using=using)
    announce(signals.audit_event_recorded, AuditEvent, using, event=event)


def announce(signal: Signal, sender: type[models.Model], using: str, **payload: Any) -> None:
    """Send ``signal`` once the surrounding transaction has committed."""
    transaction.on_commit(
        partial(signal.send_robust, sender=sender, **payload), using=using, robust=True
    )


def _subject(
    key: APIKey | None, login: LoginSession | None, service_user: ServiceUser | None
) -> str:
    if key is not None:
        return f"{key} of {service_user}"
    if login is not None:
        return f"{login} of {username_of(login.user)}"
    return str(service_user) if service_user else ""
