"""Channel-layer topics for a principal's key, service user, login, session and user."""

from __future__ import annotations

from typing import Any

from pikku_auth.principal import Principal

GROUP = "pikku_auth.sockets"
"""The group of the channel layer that every process with open sockets is in, once."""


def subject(kind: str, name: Any) -> str:
    """One name."""
    return f"{kind}:{name}"


def subjects_of(principal: Principal) -> frozenset[str]:
    """The topics that ``principal`` has to be checked again for."""
    found = {subject("user", principal.user.pk)}
    if principal.key is not None:
        found.add(subject("key", principal.key.pk))
        found.add(subject("service_user", principal.key.service_user_id))
        if principal.key.parent_id is not None:
            found.add(subject("key", principal.key.parent_id))
    if principal.login is not None:
        found.add(subject("login", principal.login.pk))
    if principal.ticket is not None:
        found.add(subject("session", principal.ticket.session_digest))
    return frozenset(found)
