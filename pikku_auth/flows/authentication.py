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
    InvalidKey,
    KeyInAuthorization,
    LimitExceeded,
    LoginInKeyHeader,
    Refused,
)
from pikku_auth.flows import judgements
from pikku_auth.flows.credentials import (
    Credential,
    address_of,
    find_credential,
    remember_unknown,
)
from pikku_auth.flows.database import outage_is_not_a_refusal, primary, reading_for_update
from pikku_auth.flows.imported import find_imported
from pikku_auth.flows.keys.limits import standings
from pikku_auth.flows.keys.verify import (
    admit_key,
    principal_of_imported,
    refuse_key,
    reverify_key,
    verify_digest,
)
from pikku_auth.flows.leak_lookup import find_leaked
from pikku_auth.flows.logins import (
    refuse_login,
    reverify_login,
    verify_imported_login,
    verify_login,
)
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
    is_unknown: bool = False

    @property
    def is_open(self) -> bool:
        return self.principal is None and not self.is_unknown


def authenticate(
    request: HttpRequest, *, source: str = "code", now: datetime | None = None
) -> Principal | None:
    """The principal of ``request``, or ``None`` if it carries no credential of ours.

    A present key header decides alone, even an empty one: exactly one live key, or the
    caller is refused and nothing else is tried. A bearer of our format goes the same
    way; any other bearer is somebody else's to judge. What is in a header of ``IMPORTED_KEYS``
    is ours if it was imported, and somebody else's if not. ``MAP_KEY`` and ``MAP_LOGIN``
    have the last word. A request is judged once, however many integrations it passes, and
    :data:`~pikku_auth.signals.credential_judged` names the first of them, the ``source``.

    :raises Refused: when a credential is there and not good.
    """
    presented = find_credential(request)
    if presented is None:
        return None
    decision = _decision_on(presented, request)
    if decision.is_open:
        try:
            principal = _verify(presented, now)
            if principal is None:
                _leave(request, decision)
                return None
            decision.principal = mapped(principal, request)
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
    if decision.is_open:
        try:
            principal = await sync_to_async(_verify)(presented, now)
            if principal is None:
                _leave(request, decision)
                return None
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


def _leave(request: HttpRequest, decision: _Decision) -> None:
    """Leave a credential to the system that has issued it: it was never imported."""
    decision.is_unknown = True
    remember_unknown(request)


def _verify(presented: Credential, now: datetime | None) -> Principal | None:
    """The principal; ``None`` for a credential of another system that is unknown here.

    :raises Refused: when it is not good.
    """
    if presented.foreign:
        return _verify_foreign(presented, now or timezone.now())
    if presented.is_exposed:
        _refuse_exposed(presented)
    if presented.is_misplaced:
        _refuse_misplaced(presented)
    verify = verify_digest if presented.kind == "key" else verify_login
    return verify(presented.digest, ip=presented.ip, now=now)


def _verify_foreign(presented: Credential, now: datetime) -> Principal | None:
    digests, ip, using = presented.foreign, presented.ip, primary()
    with outage_is_not_a_refusal(), reading_for_update(using):
        found = find_imported(digests, using=using)
        if found is None and presented.kind == "imported":
            return None
        if presented.is_exposed:
            _refuse_plain_http(None if found is None else found.credential, ip)
        if found is None:
            refuse_key(InvalidKey("unknown"), None, ip)
        key, login = found.key, found.login
        if key is not None:
            admit_key(key, [], ip=ip, now=now, using=using)
    if key is not None:
        return principal_of_imported(key, digests, ip, now)
    if login is None:
        refuse_key(InvalidKey("deleted"), None, ip)
    return verify_imported_login(login, digests, ip=ip, now=now)


def _refuse_exposed(presented: Credential) -> NoReturn:
    """Refuse a credential that came over plain HTTP, and name it in the log: it must be replaced.

    :raises HTTPSRequired: always, unless the database can't be asked.
    """
    digest = presented.digest
    with outage_is_not_a_refusal():
        found = find_leaked([digest]) if digest else None
    _refuse_plain_http(found, presented.ip)


def _refuse_plain_http(found: APIKey | LoginSession | None, ip: str | None) -> NoReturn:
    refusal = HTTPSRequired("plain_http")
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
