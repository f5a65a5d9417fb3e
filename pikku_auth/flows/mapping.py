"""The host's word on a verified caller: ``MAP_KEY`` and ``MAP_SESSION``.

They see the application's own rows as they are now, so that what a key may do can follow
them. They may add claims, narrow permissions, or reject; never widen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.core.permissions import missing, normalise, scope_strings
from pikku_auth.exceptions import InvalidKey, WidenedPermissions
from pikku_auth.flows.logins import refuse_login
from pikku_auth.flows.verification import refuse_key
from pikku_auth.principal import Mapped, Principal, bind

_REASON = "rejected_by_mapping"

Hook = Callable[..., Any]


def mapped(principal: Principal, request: HttpRequest) -> Principal:
    """What the host's mapping makes of ``principal``; an async one is run to its end.

    :raises Refused: when it rejects the caller.
    :raises WidenedPermissions: when it allows more than the credential does.
    """
    hook = _hook_for(principal)
    if hook is None:
        return principal
    ask = async_to_sync(hook) if iscoroutinefunction(hook) else hook
    return _applied(principal, ask(principal.credential, request))


async def amapped(principal: Principal, request: HttpRequest) -> Principal:
    """As :func:`mapped`; a sync one runs in a thread, as it may use the ORM."""
    hook = _hook_for(principal)
    if hook is None:
        return principal
    ask = hook if iscoroutinefunction(hook) else sync_to_async(hook)
    return _applied(principal, await ask(principal.credential, request))


def _hook_for(principal: Principal) -> Hook | None:
    return conf.map_key if principal.via == "api_key" else conf.map_session


def _applied(principal: Principal, answer: object) -> Principal:
    if answer is None:
        _reject(principal)
    if not isinstance(answer, Mapped):
        setting = "MAP_KEY" if principal.via == "api_key" else "MAP_SESSION"
        raise TypeError(
            f"PIKKU_AUTH[{setting!r}] returned {type(answer).__name__}: it must return a "
            "pikku_auth.principal.Mapped, or None to reject the caller."
        )
    permissions = principal.permissions
    if answer.permissions is not None:
        permissions = normalise(answer.permissions, most=None)
        if wider := missing(principal.permissions, scope_strings(permissions)):
            raise WidenedPermissions(wider)
        bind(principal.user, permissions)
    claims = MappingProxyType(dict(answer.claims))
    return replace(principal, permissions=permissions, claims=claims)


def _reject(principal: Principal) -> None:
    if principal.key is not None:
        refuse_key(InvalidKey(_REASON), principal.key, None)
    refuse_login(_REASON, principal.login, None)
