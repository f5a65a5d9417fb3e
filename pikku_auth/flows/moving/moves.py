"""Importing one credential after another, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.secrets import has_prefix, stored_form
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.accounts import is_service_user
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.mint import import_key
from pikku_auth.flows.keys.validation import capped
from pikku_auth.flows.login_scopes import scopes_given_to
from pikku_auth.flows.moving.peers import Found, Peer
from pikku_auth.flows.service_users import create_service_user
from pikku_auth.models import APIKey, AuditEvent, ImportedCredential, LoginSession, ServiceUser
from pikku_auth.models.logins import auth_hashes
from pikku_auth.models.users import username_of

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of a login that has none, where ``LOGIN_MAX_LIFETIME`` sets none either."""


@dataclass(frozen=True, slots=True)
class Choices:
    """How to take over what was found.

    ``adopt`` has the names of service users by those of the users who are bots; ``service`` is
    whose keys become those that belong to nobody; ``scopes`` is what keys may do whose package
    knows no scopes, and ``None`` if nobody has said.
    """

    scopes: list[str] | None = None
    adopt: Mapping[str, str] = field(default_factory=dict)
    service: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """What became of one credential, or would.

    ``imported`` or ``here`` already; ``skipped`` because of ``reason``; ``dead`` if it is over
    here and still alive there; ``retired`` if its row there was deleted.
    """

    outcome: Literal["imported", "here", "skipped", "dead", "retired"]
    found: Found
    row: APIKey | LoginSession | None = None
    reason: str = ""


class _Skip(Exception):
    """Why a credential is not taken over, for the operator."""


def move(
    peer: Peer,
    choices: Choices,
    *,
    dry_run: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Iterator[Move]:
    """Take over each credential of ``peer`` that is not here yet.

    Safe to run again, and to kill: each is a transaction of its own. With ``dry_run`` each of
    these is rolled back.

    :raises ImproperlyConfigured: when the table of ``peer`` can't be read.
    """
    now = now or timezone.now()
    for found in peer.credentials(now):
        yield _moved(peer, found, choices, dry_run, context, now)


def _moved(
    peer: Peer, found: Found, choices: Choices, dry_run: bool, context: AuditContext, now: datetime
) -> Move:
    using = primary()
    known = _known(found, using)
    if known is not None:
        is_over = _is_over(known, now) and not found.problem
        return Move("dead" if is_over else "here", found, known.credential)
    if found.problem:
        return Move("skipped", found, reason=found.problem)
    try:
        with transaction.atomic(using=using):
            row = _import(peer, found, choices, context, now)
            if dry_run:
                transaction.set_rollback(True, using=using)
    except (_Skip, InvalidInput) as error:
        return Move("skipped", found, reason=str(error))
    return Move("imported", found, row)


def retire(
    peer: Peer,
    *,
    which: Literal["dead", "all"] = "dead",
    dry_run: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Iterator[Move]:
    """Delete the rows of ``peer`` whose credential was imported: those that are dead here, or all.

    :raises ImproperlyConfigured: when the table of ``peer`` can't be read, or its rows deleted.
    """
    using, now = primary(), now or timezone.now()
    for found in peer.credentials(now):
        known = _known(found, using)
        if known is not None and found.row is not None and (which == "all" or _is_over(known, now)):
            with transaction.atomic(using=using):
                _retire(known, found, context, now, using)
                if dry_run:
                    transaction.set_rollback(True, using=using)
            yield Move("retired", found, known.credential)


def _retire(
    known: ImportedCredential, found: Found, context: AuditContext, now: datetime, using: str
) -> None:
    row: Any = found.row
    everyone = type(row)._base_manager  # noqa: SLF001  # the default one may hide rows
    everyone.using(row._state.db).filter(pk=row.pk).delete()
    ImportedCredential.objects.using(using).filter(pk=known.pk).update(retired_at=now)
    record(
        AuditEvent.Action.RETIRED,
        context=context,
        now=now,
        using=using,
        key=known.key,
        login=known.login,
        subject=f"{known.source}: {found.preview}…",
    )


def _known(found: Found, using: str) -> ImportedCredential | None:
    rows = ImportedCredential.objects.using(using).select_related(
        "key__service_user__user", "login__user"
    )
    return rows.filter(digest=found.digest).first() if found.digest else None


def _is_over(known: ImportedCredential, now: datetime) -> bool:
    """Whether it is dead here for good, though perhaps not there."""
    if known.key is not None:
        end = known.key.expires_at
        return known.key.revoked_at is not None or (end is not None and end <= now)
    if known.login is not None:
        ended = known.login.revoked_at is not None
        return ended or known.login.invalid_reason(now) in {"expired", "password_changed"}
    return True


def _import(
    peer: Peer, found: Found, choices: Choices, context: AuditContext, now: datetime
) -> APIKey | LoginSession:
    """Make a key or a login of it.

    :raises InvalidInput: when it can't be one, by a rule of those.
    :raises _Skip: when it can't be taken over.
    """
    if any(has_prefix(found.preview, prefix) for prefix in conf.prefixes):
        raise _Skip("it begins as ours do: choose other PREFIXES")
    if not peer.has_users:
        return _import_key(peer, found, choices.service, choices, context, now)
    if not found.user.is_active:
        raise _Skip("its user is inactive")
    name = choices.adopt.get(username_of(found.user))
    if name is not None:
        owner = _adopted(found.user, name, context, now)
        return _import_key(peer, found, owner, choices, context, now)
    if is_service_user(found.user):
        raise _Skip("its user belongs to a service user: add --adopt")
    return _import_login(peer, found, context, now)


def _adopted(user: Any, name: str, context: AuditContext, now: datetime) -> ServiceUser:
    """The service user of the bot ``user``, made if there is none."""
    existing = ServiceUser.objects.using(primary()).filter(user_id=user.pk).first()
    return existing or create_service_user(name, user=user, context=context, now=now)


def _import_key(
    peer: Peer,
    found: Found,
    owner: ServiceUser | str,
    choices: Choices,
    context: AuditContext,
    now: datetime,
) -> APIKey:
    scopes = choices.scopes if found.scopes is None else found.scopes
    if scopes is None:
        raise _Skip("nothing says what it may do: add --scope")
    lifetime = capped(None if found.expires_at is None else found.expires_at - now)
    return import_key(
        owner,
        digest=found.digest,
        preview=found.preview,
        source=peer.name,
        name=found.name,
        scopes=scopes,
        lifetime=lifetime,
        context=context,
        now=now,
        **found.options,
    )


def _import_login(peer: Peer, found: Found, context: AuditContext, now: datetime) -> LoginSession:
    """A login of the same human, whose end no use moves on."""
    if scopes_given_to(found.user) is None:
        raise _Skip("LOGIN_SCOPES does not let its user log in")
    cap, using = conf.login_max_lifetime, primary()
    ends = [found.expires_at, None if cap is None else now + cap]
    end = min((end for end in ends if end is not None), default=FOR_EVER)
    login = LoginSession.objects.using(using).create(
        user=found.user,
        preview=found.preview,
        digest=stored_form(found.digest),
        auth_hash=auth_hashes(found.user)[0],
        client_id=peer.name,
        created_at=now,
        renewed_at=end,  # which is never long enough ago
        expires_at=end,
    )
    ImportedCredential.objects.using(using).create(
        source=peer.name, digest=found.digest, login=login, imported_at=now
    )
    record(
        AuditEvent.Action.LOGIN_IMPORTED,
        context=context,
        now=now,
        using=using,
        login=login,
        peer=peer.name,
    )
    announce(signals.login_imported, LoginSession, using, login=login, context=context)
    return login
