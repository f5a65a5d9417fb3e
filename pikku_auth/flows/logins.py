"""Login sessions: verify a token, renew it while it is in use, end it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.secrets import digest_of
from pikku_auth.exceptions import InvalidToken, Refused
from pikku_auth.flows import last_used, log
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.cache.rows import find_by_digest
from pikku_auth.flows.database import Place, in_place, outage_is_not_a_refusal, place_of, primary
from pikku_auth.flows.imported import note_digest, reread
from pikku_auth.flows.keys.validation import check_reason
from pikku_auth.flows.login_scopes import LOGIN_NOT_ALLOWED, grant_to
from pikku_auth.models import AuditEvent, LoginSession
from pikku_auth.models.logins import is_over
from pikku_auth.models.users import User
from pikku_auth.principal import Principal, bind_user

logger = logging.getLogger("pikku_auth")


def token_digest(text: str) -> str | None:
    """The digest of a presented login token, or ``None`` if it can't be one of ours."""
    return digest_of(text, prefix=conf.prefixes.login)


def verify_login(
    digest: str | None, *, ip: str | None = None, now: datetime | None = None
) -> Principal:
    """The principal of a live login: one SELECT, no write, and what ``LOGIN_SCOPES`` asks.

    :raises InvalidToken: when there is no such live login, or its user may not log in.
    :raises Unavailable: when the database can't be asked.
    """
    now = now or timezone.now()
    login = examine_login(digest, ip=ip, now=now)
    note_use(login, ip=ip, now=now)
    return principal_of_login(login)


def examine_login(digest: str | None, *, ip: str | None, now: datetime) -> LoginSession:
    """The live login with that digest, with what it may do. Nothing is written.

    :raises InvalidToken: when there is no such live login, or its user may not log in.
    :raises Unavailable: when the database can't be asked.
    """
    login, reason = _granted(digest, now, Place(primary()))
    if login is None or reason is not None:
        refuse_login(reason or "unknown", login, ip)
    return login


def verify_imported_login(
    login: LoginSession, digests: tuple[str, ...], *, ip: str | None, now: datetime
) -> Principal:
    """The principal of a login that was found by a token of another system.

    :raises InvalidToken: when it is not live, or its user may not log in.
    """
    if (reason := _why_refused(login, now)) is not None:
        refuse_login(reason, login, ip)
    note_use(login, ip=ip, now=now)
    note_digest(login, digests)
    return principal_of_login(login)


def note_use(login: LoginSession, *, ip: str | None, now: datetime) -> None:
    """Note that a login was used, which moves its end on. It is written after the response."""
    last_used.note(login, now, ip)
    if now - login.renewed_at >= conf.login_renewal:
        last_used.note_renewal(login, now)


def reverify_login(login: LoginSession, *, now: datetime) -> Principal:
    """The principal of a login that was verified before, by its row as it is now.

    This doesn't count as use: only requests extend the expiry.

    :raises InvalidToken: when the login is not live any more, or its user may not log in.
    :raises Unavailable: when the database can't be asked.
    """
    place = place_of(login)
    row, reason = _granted(login.digest, now, place)
    if row is None:
        with outage_is_not_a_refusal(), in_place(place):
            row = reread(login, "user", using=place.alias)
        reason = None if row is None else _why_refused(row, now)
    if row is None or reason is not None:
        raise InvalidToken(reason or "unknown")
    return principal_of_login(row)


def find_live_login(digest: str | None, *, now: datetime | None = None) -> LoginSession | None:
    """The live login with that digest, also if it may do nothing now: it can always be ended.

    :raises Unavailable: when the database can't be asked.
    """
    login, reason = _judged(digest, now or timezone.now(), Place(primary()))
    return login if reason is None else None


def _granted(
    digest: str | None, now: datetime, place: Place
) -> tuple[LoginSession | None, str | None]:
    """The login of that digest with what it may do, or why it is refused."""
    login = _found(digest, place)
    return login, None if login is None else _why_refused(login, now)


def _why_refused(login: LoginSession, now: datetime) -> str | None:
    """Why ``login`` is refused, or ``None`` with what it may do set."""
    reason = login.invalid_reason(now)
    if reason is None and not grant_to(login):
        reason = LOGIN_NOT_ALLOWED
    return reason


def _judged(
    digest: str | None, now: datetime, place: Place
) -> tuple[LoginSession | None, str | None]:
    """The login of that digest, and why it is dead if it is."""
    login = _found(digest, place)
    return login, None if login is None else login.invalid_reason(now)


def _found(digest: str | None, place: Place) -> LoginSession | None:
    if not digest:
        return None
    with outage_is_not_a_refusal(), in_place(place):
        return find_by_digest(LoginSession, digest, "user", using=place.alias)


def principal_of_login(login: LoginSession) -> Principal:
    """The principal of a login that was found good, with what was granted to it."""
    permissions = bind_user(login.user, login.granted or {})
    return Principal(user=login.user, via="login", permissions=permissions, login=login)


def revoke_login(
    login: LoginSession,
    *,
    reason: str = "",
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> bool:
    """End ``login`` from the next request on. ``False`` if it had been ended before.

    :raises InvalidInput: when the reason is too long or not readable.
    """
    using, now = primary(), now or timezone.now()
    check_reason(reason)
    with transaction.atomic(using=using):
        rows = LoginSession.objects.using(using).filter(pk=login.pk, revoked_at=None)
        revoked = bool(rows.update(revoked_at=now, revoke_reason=reason))
        if revoked:
            action = AuditEvent.Action.LOGIN_REVOKED
            record(action, context=context, now=now, using=using, login=login, reason=reason)
            announce(
                signals.login_revoked,
                LoginSession,
                using,
                login=login,
                reason=reason,
                context=context,
            )
    return revoked


def live_logins(user: User, *, now: datetime | None = None) -> list[LoginSession]:
    """The logins of ``user`` that are good now, the newest first."""
    now = now or timezone.now()
    return [login for login in open_logins([user], now=now) if login.invalid_reason(now) is None]


def open_logins(users: Iterable[Any], *, now: datetime | None = None) -> QuerySet[LoginSession]:
    """The logins of ``users`` that are not over, good or refused for now, the newest first."""
    rows = LoginSession.objects.using(primary()).select_related("user").order_by("-pk")
    return rows.filter(~is_over(now or timezone.now()), user__in=users, revoked_at=None)


def refuse_login(
    reason: str, login: LoginSession | None, ip: str | None, refusal: Refused | None = None
) -> NoReturn:
    """Log and signal the precise reason, then raise the public error.

    :raises Refused: ``refusal``, or else ``InvalidToken``.
    """
    level = logging.INFO if login is None else logging.WARNING
    if logger.isEnabledFor(level):
        named, said = login or "no such login", log.fields(reason, login, ip)
        logger.log(level, "Login refused: %s (%s, from %s)", reason, named, ip, extra=said)
    signals.login_refused.send_robust(sender=LoginSession, login=login, reason=reason, ip=ip)
    raise refusal or InvalidToken(reason)
