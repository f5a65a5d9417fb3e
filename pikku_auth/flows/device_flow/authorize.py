"""Device login (RFC 8628): how one starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from pikku_auth.conf import conf
from pikku_auth.core.permissions import is_scope_parameter
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.core.text import MAX_CLIENT_ID, is_client_id, visible_ascii
from pikku_auth.core.user_codes import generate_user_code
from pikku_auth.exceptions import DeviceFlowError, Unavailable
from pikku_auth.flows.audit import CODE, AuditContext
from pikku_auth.flows.database import primary
from pikku_auth.flows.sweeping import sweep_codes
from pikku_auth.flows.throttling import (
    CODES_ASKED_FOR,
    network_limits,
    says_who,
    spend_attempts,
)
from pikku_auth.models import DeviceCode

DEVICE_PREFIX = "pkd"
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
    client_id: str, scope: str = "", *, context: AuditContext = CODE, now: datetime | None = None
) -> StartedLogin:
    """Begin a device login (RFC 8628, 3.1 and 3.2).

    :raises DeviceFlowError: ``invalid_request``, ``invalid_client`` or ``invalid_scope``.
    :raises TooManyAttempts: when the caller's network starts too many.
    """
    now = now or timezone.now()
    _check_client(client_id)
    _check_scope(scope)
    if says_who(context.ip):
        spend_attempts(network_limits("start", context.ip, CODES_ASKED_FOR), now)
    for _ in range(_COLLISIONS):
        device_code, user_code = generate(DEVICE_PREFIX), Secret(generate_user_code())
        if _insert(device_code, user_code, client_id, scope, context, now):
            sweep_codes(now, primary())
            lifetime, interval, _uri = conf.device_code
            seconds = int(lifetime.total_seconds()), int(interval.total_seconds())
            return StartedLogin(device_code, user_code, *seconds)
    raise Unavailable("user_codes_collide")


def check_client_allowed(client_id: str, error: str) -> None:
    """Reject client ids that are not in ``DEVICE_CLIENT_IDS``.

    :raises DeviceFlowError: ``error``, when it isn't there.
    """
    allowed = conf.device_client_ids
    if allowed is not None and client_id not in allowed:
        raise DeviceFlowError(error, "Invalid client ID")


def _check_client(client_id: str) -> None:
    if not client_id:
        raise DeviceFlowError("invalid_request", "client_id is required")
    if not is_client_id(client_id):
        raise DeviceFlowError(
            "invalid_request",
            f"client_id has at most {MAX_CLIENT_ID} characters of visible ASCII",
        )
    check_client_allowed(client_id, "invalid_client")


def _check_scope(scope: str) -> None:
    """Accept scope tokens of any form. Those that are not scopes of this site grant nothing."""
    if len(scope) > _MAX_SCOPE:
        raise DeviceFlowError("invalid_scope", f"scope has at most {_MAX_SCOPE} characters")
    if not is_scope_parameter(scope):
        words = "scope is words of visible ASCII without quotes or backslashes, with spaces between"
        raise DeviceFlowError("invalid_scope", words)


def _insert(
    device_code: Secret,
    user_code: Secret,
    client_id: str,
    scope: str,
    context: AuditContext,
    now: datetime,
) -> bool:
    lifetime, interval = conf.device_code.lifetime, conf.device_code.interval.seconds
    try:
        with transaction.atomic(using=primary()):
            DeviceCode.objects.using(primary()).create(
                device_digest=device_code.digest,
                user_code_digest=user_code_digest(user_code.reveal()),
                client_id=client_id,
                scope=scope,
                created_at=now,
                expires_at=now + lifetime,
                announced_interval=interval,
                interval=interval,
                ip=context.ip,
                user_agent=visible_ascii(context.user_agent)[:200],
            )
    except IntegrityError:
        return False
    return True


def user_code_digest(code: str) -> str:
    """A keyed digest: a bare hash of 34 bits is undone in a minute."""
    return salted_hmac("pikku_auth.user_code", code, algorithm="sha256").hexdigest()
