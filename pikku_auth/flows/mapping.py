"""The host's word on a verified caller: ``MAP_KEY`` and ``MAP_LOGIN``.

They see the application's own rows as they are now, so that what a key may do can follow
them. They may add claims, narrow permissions, or reject; never widen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from pikku_auth.conf import conf
from pikku_auth.core.frozen import FrozenDict
from pikku_auth.core.permissions import (
    Permissions,
    freeze,
    intersect,
    missing,
    normalise,
    scope_strings,
)
from pikku_auth.exceptions import (
    InvalidKey,
    InvalidTicket,
    WidenedPermissions,
)
from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.hooks import Hook, call, errors_surface, is_async
from pikku_auth.flows.keys.verify import refuse_key
from pikku_auth.flows.logins import refuse_login
from pikku_auth.flows.tickets import refuse_ticket
from pikku_auth.models import APIKey, LoginSession
from pikku_auth.principal import Mapped, Principal, bind_user

_REASON = "rejected_by_mapping"


def mapped(principal: Principal, request: HttpRequest) -> Principal:
    """What the host's mapping makes of ``principal``; an async one is run to its end.

    :raises Refused: when it rejects the caller.
    :raises WidenedPermissions: when it allows more than the credential does.
    :raises MappingFailed: when it raises what some integrations would take for an answer.
    """
    hook = _hook_for(principal)
    if hook is None:
        return principal
    own = _permissions_of(principal)
    answer = call(hook, principal.credential, request)
    if answer is None:
        _reject(principal, request)
    return _applied(principal, own, answer)


async def amapped(principal: Principal, request: HttpRequest) -> Principal:
    """As :func:`mapped`; a sync one runs in a thread, as it may use the ORM."""
    hook = _hook_for(principal)
    if hook is None:
        return principal
    own = _permissions_of(principal)
    ask = hook if is_async(hook) else sync_to_async(hook)
    with errors_surface():
        answer = await ask(principal.credential, request)
    if answer is None:
        await sync_to_async(_reject)(principal, request)  # the signal's receivers may use the ORM
    return _applied(principal, own, answer)


def _hook_for(principal: Principal) -> Hook | None:
    return conf.map_key if principal.via == "api_key" else conf.map_login


def _permissions_of(principal: Principal) -> Permissions:
    """What the credential allows by itself, before the host's function can change the row.

    That of a key may be more than its service user's ceiling, which may be lowered at any time:
    a function that returns it is cut, and not in error.
    """
    return freeze(principal.key.permissions) if principal.key else principal.permissions


def _applied(principal: Principal, own: Permissions, answer: object) -> Principal:
    if not isinstance(answer, Mapped):
        setting = "MAP_KEY" if principal.via == "api_key" else "MAP_LOGIN"
        raise TypeError(
            f"PIKKU_AUTH[{setting!r}] returned {type(answer).__name__}: it must return a "
            "pikku_auth.principal.Mapped, or None to reject the caller."
        )
    permissions = principal.permissions
    if answer.scopes is not None:
        narrower = normalise(answer.scopes, most=None)
        if wider := missing(own, scope_strings(narrower)):
            raise WidenedPermissions(wider)
        permissions = bind_user(principal.user, intersect(narrower, permissions))
    claims = FrozenDict(dict(answer.claims))
    return replace(principal, permissions=permissions, claims=claims)


def _reject(principal: Principal, request: HttpRequest) -> NoReturn:
    ip = address_of(request)
    match principal.credential:
        case APIKey() as key:
            refuse_key(InvalidKey(_REASON), key, ip)
        case LoginSession() as login:
            refuse_login(_REASON, login, ip)
        case ticket:
            refuse_ticket(InvalidTicket(_REASON), ticket, ip)
