"""Device login (RFC 8628), the device's half: polling, and the token, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.permissions import Permissions
from pikku_auth.core.secrets import Secret, digest_of, generate
from pikku_auth.core.text import visible_ascii
from pikku_auth.exceptions import DeviceFlowError, NothingGranted
from pikku_auth.flows import log
from pikku_auth.flows.accounts import is_service_user
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.device_flow.authorize import DEVICE_PREFIX, check_client_allowed
from pikku_auth.flows.login_scopes import offer_to
from pikku_auth.flows.logins import revoke_login
from pikku_auth.models import AuditEvent, DeviceCode, LoginSession
from pikku_auth.models.logins import auth_hashes, user_invalid_reason

logger = logging.getLogger("pikku_auth")

SLOW_DOWN = 5
"""Seconds that a poll too early adds to the interval (RFC 8628, 3.5)."""

_TOLERANCE = timedelta(seconds=1)
"""What a punctual client may lose to the network between two polls."""

_INVALID_CODE = ("invalid_grant", "Invalid device code")


@dataclass(frozen=True, slots=True)
class IssuedLogin:
    """A new login with its token, which exists here and nowhere else."""

    login: LoginSession
    token: Secret

    @property
    def scope(self) -> str:
        """What is granted, as OAuth writes it (RFC 6749, 5.1)."""
        return " ".join(self.login.scopes)


def device_code_digest(text: str) -> str | None:
    """The digest of a presented device code, or ``None`` if it can't be one of ours."""
    return digest_of(text, prefix=DEVICE_PREFIX)


def exchange(
    digest: str | None, client_id: str, *, context: AuditContext = CODE, now: datetime | None = None
) -> IssuedLogin:
    """Answer a poll: the token, exactly once, or why not (RFC 8628, 3.4 and 3.5).

    :raises DeviceFlowError: ``authorization_pending``, ``slow_down``, ``access_denied``,
        ``expired_token`` or ``invalid_grant``.
    """
    now = now or timezone.now()
    check_client_allowed(client_id, "invalid_grant")
    code = _find(digest)
    if code is None:
        raise DeviceFlowError(*_INVALID_CODE)
    if code.client_id != client_id:
        raise DeviceFlowError("invalid_grant", "Client ID mismatch")
    if code.status == DeviceCode.Status.CONSUMED:  # at any time: not even a poll too early
        _revoke_what_it_gave(code, context, now)
        raise DeviceFlowError(*_INVALID_CODE)
    _note_poll(code, now)
    if now >= code.expires_at:
        raise DeviceFlowError("expired_token", "Device code has expired")
    match code.status:
        case DeviceCode.Status.PENDING:
            raise DeviceFlowError("authorization_pending", "Authorization pending")
        case DeviceCode.Status.DENIED:
            _consume(code, DeviceCode.Status.DENIED)
            raise DeviceFlowError("access_denied", "Access denied")
    return _issue(code, context, now)


def _find(digest: str | None) -> DeviceCode | None:
    rows = DeviceCode.objects.using(primary()).select_related("user", "login__user")
    return rows.filter(device_digest=digest).first() if digest else None


def _note_poll(code: DeviceCode, now: datetime) -> None:
    """Count this poll, or slow the client down: by one step at most, so that it isn't starved."""
    rows = DeviceCode.objects.using(primary()).filter(pk=code.pk)
    latest = now - timedelta(seconds=code.interval) + _TOLERANCE
    punctual = Q(last_polled_at=None) | Q(last_polled_at__lte=latest)
    if not rows.filter(punctual).update(last_polled_at=now):
        most = F("announced_interval") + SLOW_DOWN
        rows.update(interval=Least(F("interval") + SLOW_DOWN, most))
        raise DeviceFlowError("slow_down", "Polling too frequently")


def _consume(code: DeviceCode, status: DeviceCode.Status) -> bool:
    rows = DeviceCode.objects.using(primary()).filter(pk=code.pk, status=status)
    return bool(rows.update(status=DeviceCode.Status.CONSUMED))


def _why_void(code: DeviceCode) -> str | None:
    """Why an approval counts no more, by the rule that ends logins, or ``None`` if it does."""
    if code.user is None:
        return "owner_deleted"
    if is_service_user(code.user):
        return "owner_is_service_user"
    return user_invalid_reason(code.user, code.auth_hash)


def _granted(code: DeviceCode, ip: str | None) -> Permissions:
    """What an approved login may do, by what its user is given now."""
    reason, user = _why_void(code), code.user
    offer = None if reason or user is None else offer_to(user, code.requested)
    if offer is None or not offer.is_approvable:
        reason = reason or NothingGranted.code
        said = log.fields(reason, code, ip)
        logger.warning("Approved login refused: %s (%s, from %s)", reason, code, ip, extra=said)
        raise DeviceFlowError("access_denied", "Access denied")
    return offer.permissions


def _issue(code: DeviceCode, context: AuditContext, now: datetime) -> IssuedLogin:
    user: Any = code.user
    permissions = _granted(code, context.ip)
    using, token = primary(), generate(conf.prefixes.login)
    with transaction.atomic(using=using):
        if not _consume(code, DeviceCode.Status.APPROVED):
            raise DeviceFlowError(*_INVALID_CODE)
        login = LoginSession(
            user=user,
            device_code=code,
            preview=token.preview,
            digest=token.digest,
            auth_hash=auth_hashes(user)[0],
            permissions=code.requested,
            client_id=code.client_id,
            ip=context.ip,
            user_agent=visible_ascii(context.user_agent)[:200],
            created_at=now,
            renewed_at=now,
        )
        login.expires_at = login.expiry_from(now)
        login.save(using=using, force_insert=True)
        login.granted = permissions
        record(
            AuditEvent.Action.LOGIN_STARTED,
            context=context,
            now=now,
            using=using,
            login=login,
            scope=" ".join(login.scopes),
        )
        announce(signals.login_started, LoginSession, using, login=login, context=context)
    return IssuedLogin(login, token)


def _revoke_what_it_gave(code: DeviceCode, context: AuditContext, now: datetime) -> None:
    """A code redeemed twice is in two hands (OWASP ASVS 5, 10.4.2)."""
    login = LoginSession.objects.using(primary()).filter(device_code=code).first()
    if login is not None:
        revoke_login(login, reason="device code replayed", context=context, now=now)
