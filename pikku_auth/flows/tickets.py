"""One-time tickets: how a browser, which can't set a header, opens a WebSocket.

A ticket stands for the credential it was asked for with, never for more: at the handshake
that credential is judged again. It is good for one connection, within seconds.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NoReturn

from django.conf import settings
from django.db import connections, transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import without_auth
from pikku_auth.core.secrets import Secret, digest_of, generate
from pikku_auth.exceptions import InvalidTicket, Refused
from pikku_auth.flows import log
from pikku_auth.flows.audit import announce
from pikku_auth.flows.database import (
    in_place,
    outage_is_not_a_refusal,
    place_of,
    primary,
    remember_schema,
    schema_of,
    unless_missing,
)
from pikku_auth.flows.keys.verify import reverify_key
from pikku_auth.flows.login_scopes import scopes_given_to
from pikku_auth.flows.logins import reverify_login
from pikku_auth.flows.sweeping import sweep_tickets
from pikku_auth.flows.throttling import spend_attempt
from pikku_auth.models import SocketTicket
from pikku_auth.models.logins import auth_hashes
from pikku_auth.models.users import User
from pikku_auth.principal import Principal, bind_user

logger = logging.getLogger("pikku_auth")

PREFIX = "pkt"

LIFETIME = timedelta(seconds=30)
"""From being issued to being redeemed: a page asks for a ticket when it is about to connect."""

TICKETS = Rate(60, LIFETIME)
"""Tickets for one key, or one human."""

_LONGEST_WITHOUT_ROW = timedelta(hours=1)
"""What a session lasts here whose stored end can't be read: the page asks for another ticket."""

session_ended = Signal()
"""``session_digest``: a browser has left its session. Not public: open sockets are told."""


def issue_ticket(principal: Principal, *, now: datetime | None = None) -> Secret:
    """A ticket for who came with a key or a login.

    :raises TooManyAttempts: when they ask for too many.
    """
    now = now or timezone.now()
    holder = f"key:{principal.key.pk}" if principal.key else f"user:{principal.user.pk}"
    return _issue(now, holder, key=principal.key, login=principal.login)


def issue_session_ticket(user: User, session: Any, *, now: datetime | None = None) -> Secret:
    """A ticket for ``user``, who is signed in to the site with ``session``.

    :raises TooManyAttempts: when they ask for too many.
    """
    now = now or timezone.now()
    return _issue(
        now,
        f"user:{user.pk}",
        user=user,
        session_digest=session_digest(session.session_key),
        session_auth_hash=auth_hashes(user)[0],
        session_expires_at=_end_of(session, now),
    )


def ticket_digest(text: str) -> str | None:
    """The digest of a presented ticket, or ``None`` if it can't be one of ours."""
    return digest_of(text, prefix=PREFIX)


def session_digest(session_key: str | None) -> str:
    """SHA-256 of the session key."""
    return sha256((session_key or "").encode()).hexdigest()


def redeem_ticket(
    digest: str | None, *, ip: str | None = None, now: datetime | None = None
) -> Principal:
    """Redeem a ticket, once, and return its principal.

    A ticket is used up by being presented in time, whatever becomes of it. The call was
    counted when the ticket was issued.

    :raises InvalidTicket: when there is no such ticket, or it is used, too old, or for a
        browser's session that is over.
    :raises InvalidKey: when it is for a key that is not live any more.
    :raises InvalidToken: when it is for a login that is not live any more.
    :raises NetworkNotAllowed: when the key may not be used from ``ip``.
    :raises Unavailable: when the database can't be asked.
    """
    now = now or timezone.now()
    with outage_is_not_a_refusal():
        ticket = _taken(digest, now) if digest else None
    if ticket is None:
        refuse_ticket(InvalidTicket("unknown, used or too old"), None, ip)
    try:
        return principal_of(ticket, ip=ip, now=now)
    except Refused as refusal:
        refuse_ticket(refusal, ticket, ip)


def principal_of(ticket: SocketTicket, *, ip: str | None, now: datetime) -> Principal:
    """The principal of a redeemed ticket, if the credential behind it is good at ``now``.

    Wants ``user`` selected.

    :raises Refused: when it is not.
    """
    if ticket.key is not None:
        return reverify_key(ticket.key, ip=ip, now=now)
    if ticket.login is not None:
        return reverify_login(ticket.login, now=now)
    if reason := ticket.why_session_dead(now):
        raise InvalidTicket(reason)
    user: Any = ticket.user  # a session's ticket has one
    # They are signed in to the site: who may not log in from a terminal has no scopes here.
    permissions = bind_user(user, without_auth(scopes_given_to(user) or {}))
    return Principal(user=user, via="session", permissions=permissions, ticket=ticket)


def reread(ticket: SocketTicket) -> SocketTicket:
    """The ticket's row as it is now.

    :raises InvalidTicket: when it is gone.
    :raises Unavailable: when the database can't be asked.
    """
    place = place_of(ticket)
    with outage_is_not_a_refusal(), in_place(place):
        row = _rows().using(place.alias).filter(pk=ticket.pk).first()
    if row is None:
        raise InvalidTicket("unknown")
    remember_schema(row, place.schema)
    return row


def end_session_tickets(*, request: Any = None, **_kwargs: object) -> None:
    """Let nothing be opened, nor stay open, by a browser that signs out.

    Receives ``user_logged_out``.
    """
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        _end_tickets_of(session.session_key)


def end_tickets_of_left_session(*, request: Any = None, **_kwargs: object) -> None:
    """Let nothing stay open by the session that a browser has left for another by signing in.

    Django flushes it then, and doesn't say so. Receives ``user_logged_in``.
    """
    session = getattr(request, "session", None)
    if session is not None:
        left = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if left and left != session.session_key:
            _end_tickets_of(left)


def _end_tickets_of(session_key: str) -> None:
    using, digest = primary(), session_digest(session_key)
    with unless_missing(SocketTicket, using), transaction.atomic(using=using):
        rows = SocketTicket.objects.using(using).filter(session_ended_at=None)
        if rows.filter(session_digest=digest).update(session_ended_at=timezone.now()):
            announce(session_ended, SocketTicket, using, session_digest=digest)


def _end_of(session: Any, now: datetime) -> datetime:
    """When the session ends: by its row, which says what it was when the session was last saved.

    Others than those with a row, the cached and the signed ones, only know how long they last.
    """
    model = getattr(session, "model", None)
    if model is not None:
        rows = model.objects.filter(session_key=session.session_key)
        end: datetime | None = rows.values_list("expire_date", flat=True).first()
        if end is not None:
            return end
    known: datetime = session.get_expiry_date(modification=now)
    return min(known, now + _LONGEST_WITHOUT_ROW)


def _issue(now: datetime, holder: str, **columns: Any) -> Secret:
    spend_attempt(f"ticket:{holder}", TICKETS, now)
    using, secret = primary(), generate(PREFIX)
    SocketTicket.objects.using(using).create(
        digest=secret.digest, created_at=now, redeem_by=now + LIFETIME, **columns
    )
    sweep_tickets(now, columns.get("user"), using)
    return secret


def _taken(digest: str, now: datetime) -> SocketTicket | None:
    """Use the ticket up. Of many who try, one gets it."""
    rows = _rows().filter(digest=digest)
    if not rows.filter(redeemed_at=None, redeem_by__gt=now).update(redeemed_at=now):
        return None
    found = list(rows)
    for ticket in found:
        remember_schema(ticket, schema_of(connections[primary()]))
    return found[0] if found else None


def _rows() -> QuerySet[SocketTicket]:
    return SocketTicket.objects.using(primary()).select_related("key", "login", "user")


def refuse_ticket(refusal: Refused, ticket: SocketTicket | None, ip: str | None) -> NoReturn:
    """Log the precise reason, then raise the public error.

    :raises Refused: ``refusal``.
    """
    named, said = ticket or "no such ticket", log.fields(refusal.reason, ticket, ip)
    logger.warning(
        "WebSocket ticket refused: %s (%s, from %s)", refusal.reason, named, ip, extra=said
    )
    raise refusal from None
