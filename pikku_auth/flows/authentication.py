"""Who is calling? Every integration asks :func:`authenticate` and does as it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils import timezone

from pikku_auth.core.limits import Standing
from pikku_auth.exceptions import (
    HTTPSRequired,
    KeyInAuthorization,
    LimitExceeded,
    LoginInKeyHeader,
    Refused,
)
from pikku_auth.flows import judgements
from pikku_auth.flows.credentials import Credential, address_of, find_credential
from pikku_auth.flows.database import outage_is_not_a_refusal
from pikku_auth.flows.keys.limits import standings
from pikku_auth.flows.keys.verify import refuse_key, reverify_key, verify_digest
from pikku_auth.flows.leak_lookup import find_leaked
from pikku_auth.flows.logins import refuse_login, reverify_login, verify_login
from pikku_auth.flows.mapping import amapped, mapped
from pikku_auth.flows.tickets import principal_of, reread
from pikku_auth.models import APIKey, LoginSession
from pikku_auth.principal import Principal

_DECISION = "_pikku_auth_decision"


@dataclass(slots=True)
class _Decision:
    """What was decided of a credential, kept on its request."""

    presented: Credential
    principal: Principal | None = None
    refusal: Refused | None = None


def authenticate(
    request: HttpRequest, *, source: str = "code", now: datetime | None = None
) -> Principal | None:
    """The principal of ``request``, or ``None`` if it carries no credential of ours.

    A present key header decides alone, even an empty one: exactly one live key, or the
    caller is refused and nothing else is tried. A bearer of our format goes the same
    way; any other bearer is somebody else's to judge. ``MAP_KEY`` and ``MAP_LOGIN``
    have the last word. A request is judged once, however many integrations it passes, and
    :data:`~pikku_auth.signals.credential_judged` names the first of them, the ``source``.

    :raises Refused: when a credential is there and not good.
    """
    presented = find_credential(request)
    if presented is None:
        return None
    decision = _decision_on(presented, request)
    if decision.principal is None:
        try:
            decision.principal = mapped(_verify(presented, now), request)
        except Refused as refusal:
            decision.refusal = refusal
            judgements.tell(presented.kind, source, refusal)
            raise
        judgements.tell(presented.kind, source, decision.principal)
    return decision.principal


async def aauthenticate(
    request: HttpRequest, *, source: str = "code", now: datetime | None = None
) -> Principal | None:
    """As :func:`authenticate`. Only the database's part, and a sync mapping, run in a thread.

    :raises Refused: when a credential is there and not good.
    """
    presented = find_credential(request)
    if presented is None:
        return None
    decision = _decision_on(presented, request)
    if decision.principal is None:
        try:
            principal = await sync_to_async(_verify)(presented, now)
            decision.principal = await amapped(principal, request)
        except Refused as refusal:
            decision.refusal = refusal
            await judgements.atell(presented.kind, source, refusal)
            raise
        await judgements.atell(presented.kind, source, decision.principal)
    return decision.principal


def limits_of(request: HttpRequest, now: datetime) -> Sequence[Standing]:
    """What is left of the limits of the key that ``request`` came with; nothing is asked for it."""
    decision: _Decision | None = getattr(request, _DECISION, None)
    if decision is None:
        return ()
    if isinstance(decision.refusal, LimitExceeded):
        return decision.refusal.limits
    key = decision.principal.key if decision.principal else None
    return standings(key, now) if key else ()


def _verify(presented: Credential, now: datetime | None) -> Principal:
    if presented.is_exposed:
        _refuse_exposed(presented)
    if presented.is_misplaced:
        _refuse_misplaced(presented)
    verify = verify_digest if presented.kind == "key" else verify_login
    return verify(presented.digest, ip=presented.ip, now=now)


def _refuse_exposed(presented: Credential) -> NoReturn:
    """Refuse a credential that came over plain HTTP, and name it in the log: it must be replaced.

    :raises HTTPSRequired: always, unless the database can't be asked.
    """
    refusal, digest, ip = HTTPSRequired("plain_http"), presented.digest, presented.ip
    with outage_is_not_a_refusal():
        found = find_leaked([digest]) if digest else None
    if isinstance(found, LoginSession):
        refuse_login(refusal.reason, found, ip, refusal)
    refuse_key(refusal, found, ip)


def _refuse_misplaced(presented: Credential) -> NoReturn:
    """Refuse a credential that is in the other one's header, and say where it belongs.

    :raises KeyInAuthorization: when it is a key.
    :raises LoginInKeyHeader: when it is a login token.
    """
    if presented.kind == "key":
        refuse_key(LoginInKeyHeader("login_in_key_header"), None, presented.ip)
    refusal = KeyInAuthorization("key_in_authorization")
    refuse_login(refusal.reason, None, presented.ip, refusal)


def _decision_on(presented: Credential, request: HttpRequest) -> _Decision:
    """What was decided of this credential of this request before, if anything was.

    Otherwise a middleware and DRF would count a call twice, and ask the host's mapping twice.

    :raises Refused: again, when it was refused.
    """
    decision: _Decision | None = getattr(request, _DECISION, None)
    if decision is None or decision.presented != presented:
        decision = _Decision(presented)
        setattr(request, _DECISION, decision)
    if decision.refusal is not None:
        raise decision.refusal
    return decision


def revalidate(
    principal: Principal, request: HttpRequest, *, now: datetime | None = None
) -> Principal:
    """``principal`` by the rows that exist now, and by what the host's mapping says now.

    ``request`` is the one that opened the connection. Nothing is counted.

    :raises Refused: when the credential is not good any more, or the mapping rejects it.
    """
    again = _reverified(principal, address_of(request), now or timezone.now())
    return mapped(again, request)


async def arevalidate(
    principal: Principal, request: HttpRequest, *, now: datetime | None = None
) -> Principal:
    """As :func:`revalidate`. Only the database's part, and a sync mapping, run in a thread.

    :raises Refused: when the credential is not good any more, or the mapping rejects it.
    """
    again = await sync_to_async(_reverified)(principal, address_of(request), now or timezone.now())
    return await amapped(again, request)


def _reverified(principal: Principal, ip: str | None, now: datetime) -> Principal:
    match principal.credential:
        case APIKey() as key:
            return reverify_key(key, ip=ip, now=now)
        case LoginSession() as login:
            return reverify_login(login, now=now)
        case ticket:
            return principal_of(reread(ticket), ip=ip, now=now)
