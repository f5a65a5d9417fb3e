"""Device login (RFC 8628), the human's half: start, look up, claim, approve, deny."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.permissions import normalise
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.core.user_codes import generate_user_code, normalise_user_code
from pikku_auth.exceptions import DeviceFlowError, InvalidInput, Unavailable
from pikku_auth.flows.attempts import (
    CODES_ASKED_FOR,
    WRONG_CODES,
    address_subject,
    give_back_attempt,
    spend_attempt,
)
from pikku_auth.flows.audit import CODE, Origin, announce, clean, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.fields import known_scopes
from pikku_auth.models import AuditEvent, DeviceCode

DEVICE_PREFIX = "pkd"
CODE_LIFETIME = timedelta(minutes=10)
INTERVAL = 5
"""Seconds between polls (RFC 8628, 3.2)."""

_MAX_CLIENT_ID = 191
_MAX_SCOPE = 2_000
_COLLISIONS = 5


@dataclass(frozen=True, slots=True)
class StartedLogin:
    """What the device is told; both codes exist here and nowhere else."""

    device_code: Secret
    user_code: Secret
    expires_in: int
    interval: int


def start_login(
    client_id: str, scope: str = "", *, origin: Origin = CODE, now: datetime | None = None
) -> StartedLogin:
    """Begin a device login (RFC 8628, 3.1 and 3.2).

    :raises DeviceFlowError: ``invalid_request``, ``invalid_client`` or ``invalid_scope``.
    :raises TooManyAttempts: when the caller's address starts too many.
    """
    now = now or timezone.now()
    _check_client(client_id)
    if len(scope) > _MAX_SCOPE:
        raise DeviceFlowError("invalid_scope", f"scope has at most {_MAX_SCOPE} characters")
    parse_scope_parameter(scope)
    spend_attempt(f"start:{address_subject(origin.ip)}", CODES_ASKED_FOR, now)
    for _ in range(_COLLISIONS):
        device_code, user_code = generate(DEVICE_PREFIX), Secret(generate_user_code())
        if _insert(device_code, user_code, client_id, scope, origin, now):
            lifetime = int(CODE_LIFETIME.total_seconds())
            return StartedLogin(device_code, user_code, lifetime, INTERVAL)
    raise Unavailable("user_codes_collide")


def look_up(
    typed: str, *, user: Any = None, ip: str | None = None, now: datetime | None = None
) -> DeviceCode:
    """The login that a user code stands for. Wrong codes are counted, per human and address.

    :raises TooManyAttempts: after too many wrong codes, for a right one too.
    :raises DeviceFlowError: ``invalid_request`` for an unknown code, ``expired_token``.
    """
    now = now or timezone.now()
    subjects = [f"guess:{address_subject(ip)}"] + ([f"guess:user:{user.pk}"] if user else [])
    for subject in subjects:
        spend_attempt(subject, WRONG_CODES, now)
    found = _find(typed)
    if found is None:
        raise DeviceFlowError("invalid_request", "Invalid user code")
    for subject in subjects:
        give_back_attempt(subject)
    if now >= found.expires_at:
        raise DeviceFlowError("expired_token", "User code has expired")
    return found


def claim(device_code: DeviceCode, user: Any, *, now: datetime | None = None) -> bool:
    """Make ``user`` the only one who may decide. ``False`` if it is somebody else's."""
    now = now or timezone.now()
    rows = DeviceCode.objects.using(primary()).filter(
        pk=device_code.pk, status=DeviceCode.Status.PENDING, user=None, expires_at__gt=now
    )
    rows.update(user=user)
    device_code.refresh_from_db(using=primary(), fields=["status", "user"])
    return bool(device_code.user_id == user.pk)


def release(device_code: DeviceCode, user: Any) -> None:
    """Undo :func:`claim`, for a human who would rather decide as somebody else."""
    rows = DeviceCode.objects.using(primary()).filter(
        pk=device_code.pk, status=DeviceCode.Status.PENDING, user=user.pk
    )
    rows.update(user=None)


def approve(
    device_code: DeviceCode, user: Any, *, origin: Origin = CODE, now: datetime | None = None
) -> None:
    """Let the device have its token.

    :raises DeviceFlowError: when it is not ``user``'s to decide, or over.
    """
    _decide(device_code, user, DeviceCode.Status.APPROVED, origin, now or timezone.now())


def deny(
    device_code: DeviceCode, user: Any, *, origin: Origin = CODE, now: datetime | None = None
) -> None:
    """Refuse the device.

    :raises DeviceFlowError: when it is not ``user``'s to decide, or over.
    """
    _decide(device_code, user, DeviceCode.Status.DENIED, origin, now or timezone.now())


def parse_scope_parameter(scope: str) -> dict[str, list[str]] | None:
    """The permissions that a ``scope`` parameter asks for; ``None`` for all of the human's.

    :raises DeviceFlowError: ``invalid_scope`` (RFC 6749, 5.2).
    """
    words = scope.split(" ") if scope else []
    wanted = [word for word in words if word]
    if not wanted:
        return None
    try:
        return known_scopes(normalise(wanted))
    except (InvalidInput, ValueError) as error:
        raise DeviceFlowError("invalid_scope", str(error)) from None


def check_client_allowed(client_id: str, error: str) -> None:
    """Hold ``client_id`` against ``ALLOWED_CLIENTS``.

    :raises DeviceFlowError: ``error``, when it isn't there.
    """
    allowed = conf.allowed_clients
    if allowed is not None and client_id not in allowed:
        raise DeviceFlowError(error, "Invalid client ID")


def _check_client(client_id: str) -> None:
    if not client_id:
        raise DeviceFlowError("invalid_request", "client_id is required")
    if len(client_id) > _MAX_CLIENT_ID or not client_id.isprintable():
        raise DeviceFlowError("invalid_request", "client_id has at most 191 printable characters")
    check_client_allowed(client_id, "invalid_client")


def _insert(
    device_code: Secret,
    user_code: Secret,
    client_id: str,
    scope: str,
    origin: Origin,
    now: datetime,
) -> bool:
    try:
        with transaction.atomic(using=primary()):
            DeviceCode.objects.using(primary()).create(
                device_digest=device_code.digest,
                user_code_digest=user_code_digest(user_code.reveal()),
                client_id=client_id,
                scope=scope,
                created_at=now,
                expires_at=now + CODE_LIFETIME,
                announced_interval=INTERVAL,
                interval=INTERVAL,
                ip=origin.ip,
                user_agent=clean(origin.user_agent)[:200],
            )
    except IntegrityError:
        return False
    return True


def user_code_digest(code: str) -> str:
    """A keyed digest: a bare hash of 34 bits is undone in a minute."""
    return salted_hmac("pikku_auth.user_code", code, algorithm="sha256").hexdigest()


def _find(typed: str) -> DeviceCode | None:
    code = normalise_user_code(typed)
    if code is None:
        return None
    rows = DeviceCode.objects.using(primary()).select_related("user")
    return rows.filter(user_code_digest=user_code_digest(code)).first()


def _decide(
    device_code: DeviceCode,
    user: Any,
    status: DeviceCode.Status,
    origin: Origin,
    now: datetime,
) -> None:
    using, approved = primary(), status == DeviceCode.Status.APPROVED
    with transaction.atomic(using=using):
        rows = DeviceCode.objects.using(using).filter(
            pk=device_code.pk, status=DeviceCode.Status.PENDING, user=user, expires_at__gt=now
        )
        if not rows.update(status=status):
            raise _why_undecided(device_code, user, now, approved=approved)
        device_code.status = status
        record(
            AuditEvent.Action.LOGIN_APPROVED if approved else AuditEvent.Action.LOGIN_DENIED,
            origin=origin,
            now=now,
            using=using,
            subject=f"{device_code.client_id} of {user.get_username()}",
            scope=device_code.scope,
            requested_from=device_code.ip,
        )
        announce(
            signals.login_approved if approved else signals.login_denied,
            DeviceCode,
            using,
            device_code=device_code,
            user=user,
            origin=origin,
        )


def _why_undecided(
    device_code: DeviceCode, user: Any, now: datetime, *, approved: bool
) -> DeviceFlowError:
    device_code.refresh_from_db(using=primary())
    if now >= device_code.expires_at:
        return DeviceFlowError("expired_token", "User code has expired")
    if device_code.status != DeviceCode.Status.PENDING:
        return DeviceFlowError("invalid_request", "Device code already processed")
    if device_code.user_id is None:
        return DeviceFlowError(
            "invalid_request",
            "Device code has not been claimed by a verifying session; call `GET /device` with the "
            "`user_code` while signed in before approving or denying",
        )
    verb = "approve" if approved else "deny"
    words = f"You are not authorized to {verb} this device authorization"
    return DeviceFlowError("access_denied", words, 403)
