"""Device login (RFC 8628), the human's half: look a code up, claim it, approve or deny."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.core.permissions import AUTH
from pikku_auth.core.user_codes import normalise_user_code
from pikku_auth.exceptions import DeviceFlowError
from pikku_auth.flows.accounts import is_service_user
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.device_flow.authorize import user_code_digest
from pikku_auth.flows.login_scopes import Offer, offer_to, require_something
from pikku_auth.flows.sign_in import require_fresh
from pikku_auth.flows.throttling import (
    CLAIMS,
    WRONG_CODES,
    give_back_attempts,
    network_limits,
    spend_attempt,
    spend_attempts,
)
from pikku_auth.models import AuditEvent, DeviceCode
from pikku_auth.models.logins import auth_hashes
from pikku_auth.models.users import User, username_of


def look_up(
    typed: str, *, user: User | None = None, ip: str | None = None, now: datetime | None = None
) -> DeviceCode:
    """The login that a user code stands for. Wrong codes are counted.

    Of ``user`` if somebody is signed in, whom strangers at the same address can't hold up, and
    else of the network.

    :raises TooManyAttempts: after too many wrong codes, for a right one too.
    :raises DeviceFlowError: ``invalid_request`` for an unknown code, ``expired_token``.
    """
    now, digest = now or timezone.now(), _digest_of(typed)
    del typed  # an error report shows the variables that are there when the database fails
    limits = (
        [(f"guess:user:{user.pk}", WRONG_CODES)]
        if user
        else network_limits("guess", ip, WRONG_CODES)
    )
    spend_attempts(limits, now)
    found = _find(digest)
    if found is None:
        raise DeviceFlowError("invalid_request", "Invalid user code")
    give_back_attempts(limits)
    if now >= found.expires_at:
        raise DeviceFlowError("expired_token", "User code has expired")
    return found


def claim(device_code: DeviceCode, user: User, *, now: datetime | None = None) -> bool:
    """Make ``user`` the only one who may decide. ``False`` if it is somebody else's.

    :raises TooManyAttempts: when ``user`` has claimed too many.
    :raises DeviceFlowError: ``expired_token``, when the code is gone.
    """
    now = now or timezone.now()
    rows = DeviceCode.objects.using(primary()).filter(
        pk=device_code.pk, status=DeviceCode.Status.PENDING, user=None, expires_at__gt=now
    )
    if rows.exists():
        spend_attempt(f"claim:user:{user.pk}", CLAIMS, now)
        rows.update(user=user)
    _reread(device_code)
    return bool(device_code.user_id == user.pk)


def release(device_code: DeviceCode, user: User) -> None:
    """Undo :func:`claim`, for a human who would rather decide as somebody else."""
    rows = DeviceCode.objects.using(primary()).filter(
        pk=device_code.pk, status=DeviceCode.Status.PENDING, user=user.pk
    )
    rows.update(user=None)


def approve(
    device_code: DeviceCode,
    user: User,
    *,
    signed_in_at: datetime | None = None,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> None:
    """Let the device have its token.

    It gets none if the password of ``user`` changes before it fetches it. ``signed_in_at`` is
    when the session that approves began; with ``SIGN_IN_MAX_AGE``, and for a login that is granted
    scopes of the resource ``auth``, it must be given.

    :raises NothingGranted: when the login could do nothing.
    :raises DeviceFlowError: when it is not ``user``'s to decide, or over, or when they may not
        approve: inactive, a service user, or signed in too long ago.
    """
    now = now or timezone.now()
    if not user.is_active or is_service_user(user):
        raise DeviceFlowError("access_denied", "This user may not approve logins", 403)
    offer = offer_to(user, device_code.requested)
    require_fresh(signed_in_at, now, offer.permissions)
    require_something(offer)
    changes = {
        "status": DeviceCode.Status.APPROVED,
        "auth_hash": auth_hashes(user)[0],
        "scope": _scope_as_shown(device_code, offer),
    }
    _decide(device_code, user, changes, context, now)


def deny(
    device_code: DeviceCode,
    user: User,
    *,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> None:
    """Refuse the device.

    :raises DeviceFlowError: when it is not ``user``'s to decide, or over.
    """
    changes = {"status": DeviceCode.Status.DENIED}
    _decide(device_code, user, changes, context, now or timezone.now())


def withdraw(user: User, *, context: AuditContext = CODE, now: datetime | None = None) -> None:
    """Deny each login of ``user`` that is approved and not yet fetched, or not yet decided."""
    using, now, status = primary(), now or timezone.now(), DeviceCode.Status
    undone = [status.PENDING, status.APPROVED]
    for device_code in DeviceCode.objects.using(using).filter(user_id=user.pk, status__in=undone):
        with transaction.atomic(using=using):
            rows = DeviceCode.objects.using(using).filter(pk=device_code.pk, status__in=undone)
            if rows.update(status=status.DENIED):
                _tell_decided(device_code, user, status.DENIED, context, now, using)


def _scope_as_shown(device_code: DeviceCode, offer: Offer) -> str:
    """What was asked for, but of the resource ``auth`` only what is granted now.

    A right to manage keys that its user gets later was in no warning, and no recent sign-in
    stood for it: for that they log in again.
    """
    if AUTH not in (device_code.requested or {}):
        return device_code.scope
    others = [word for word in device_code.scope.split(" ") if not word.startswith(f"{AUTH}:")]
    shown = [f"{AUTH}:{action}" for action in offer.permissions.get(AUTH, ())]
    longest = DeviceCode._meta.get_field("scope").max_length or 0
    while len(scope := " ".join([*others, *shown])) > longest:
        shown.pop()
    return scope


def _digest_of(typed: str) -> str | None:
    code = normalise_user_code(typed)
    return None if code is None else user_code_digest(code)


def _find(digest: str | None) -> DeviceCode | None:
    if digest is None:
        return None
    rows = DeviceCode.objects.using(primary()).select_related("user")
    return rows.filter(user_code_digest=digest).first()


def _decide(
    device_code: DeviceCode,
    user: User,
    changes: dict[str, Any],
    context: AuditContext,
    now: datetime,
) -> None:
    using, status = primary(), changes["status"]
    with transaction.atomic(using=using):
        rows = DeviceCode.objects.using(using).filter(
            pk=device_code.pk, status=DeviceCode.Status.PENDING, user_id=user.pk, expires_at__gt=now
        )
        if not rows.update(**changes):
            raise _why_undecided(device_code, user, status, now)
        _tell_decided(device_code, user, status, context, now, using)


def _tell_decided(
    device_code: DeviceCode,
    user: User,
    status: DeviceCode.Status,
    context: AuditContext,
    now: datetime,
    using: str,
) -> None:
    approved = status == DeviceCode.Status.APPROVED
    device_code.status = status
    record(
        AuditEvent.Action.LOGIN_APPROVED if approved else AuditEvent.Action.LOGIN_DENIED,
        context=context,
        now=now,
        using=using,
        subject=f"{device_code.client_id} of {username_of(user)}",
        scope=device_code.scope,
        requested_from=device_code.ip,
    )
    announce(
        signals.login_approved if approved else signals.login_denied,
        DeviceCode,
        using,
        device_code=device_code,
        user=user,
        context=context,
    )


def _reread(device_code: DeviceCode) -> None:
    try:
        device_code.refresh_from_db(using=primary())
    except DeviceCode.DoesNotExist:
        raise DeviceFlowError("expired_token", "User code has expired") from None


def _why_undecided(
    device_code: DeviceCode, user: User, status: DeviceCode.Status, now: datetime
) -> DeviceFlowError:
    _reread(device_code)
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
    verb = "approve" if status == DeviceCode.Status.APPROVED else "deny"
    words = f"You are not authorized to {verb} this device authorization"
    return DeviceFlowError("access_denied", words, 403)
