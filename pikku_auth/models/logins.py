"""Humans in a terminal: a pending device login, and the session that comes of it."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from pikku_auth.conf import conf
from pikku_auth.core.permissions import Permissions, read_scope_parameter, scope_strings
from pikku_auth.models.indexes import starts_index
from pikku_auth.models.natural_keys import NaturalKeyModel
from pikku_auth.models.users import User


class DeviceCode(NaturalKeyModel):
    """One device login in the making (RFC 8628). Both codes are kept as digests only.

    ``interval`` is what the code enforces now, in seconds; ``announced_interval`` is what
    the device was told. ``user`` is who claimed the code in the browser, and ``auth_hash``
    what their password was when they approved.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        APPROVED = "approved", _("approved")
        DENIED = "denied", _("denied")
        CONSUMED = "consumed", _("consumed")

    natural_key_fields = ("device_digest",)

    device_digest = models.CharField(max_length=64, editable=False)
    user_code_digest = models.CharField(max_length=64, editable=False)
    client_id = models.CharField(_("client"), max_length=191)
    scope = models.CharField(_("scope"), max_length=2000, blank=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"), db_index=True)
    auth_hash = models.CharField(max_length=128, blank=True, editable=False)
    announced_interval = models.PositiveSmallIntegerField()
    interval = models.PositiveSmallIntegerField()
    last_polled_at = models.DateTimeField(null=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("device code")
        verbose_name_plural = _("device codes")
        constraints = [
            models.UniqueConstraint(fields=["device_digest"], name="pikku_auth_device_digest"),
            models.UniqueConstraint(fields=["user_code_digest"], name="pikku_auth_user_code"),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} ({self.get_status_display()})"

    @property
    def requested(self) -> Permissions | None:
        """The permissions that ``scope`` asks for; ``None``, for all, if it is empty."""
        return read_scope_parameter(self.scope, conf.scopes)[0]

    @property
    def foreign_scopes(self) -> list[str]:
        """The requested words that are not scopes of this site, such as ``openid``."""
        return read_scope_parameter(self.scope, conf.scopes)[1]


class LoginSession(NaturalKeyModel):
    """A human's login: a bearer token, of which only the SHA-256 is kept.

    ``permissions`` is what was asked for at login, ``None`` if no scope was, and empty if no
    scope of this site was: such a login only tells who its user is. ``granted`` is set when the
    login is verified, and is no column: the part of it that ``LOGIN_SCOPES`` gives the user.
    ``auth_hash`` dies with the password it was made under.
    """

    natural_key_fields = ("digest",)
    granted: Permissions | None = None

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        related_name="pikku_logins",
    )
    device_code = models.OneToOneField(
        DeviceCode, on_delete=models.SET_NULL, null=True, related_name="login"
    )
    preview = models.CharField(_("preview"), max_length=32)
    digest = models.CharField(max_length=64, editable=False)
    auth_hash = models.CharField(max_length=128, editable=False)
    permissions = models.JSONField(_("permissions"), null=True)
    client_id = models.CharField(_("client"), max_length=191)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at"))
    renewed_at = models.DateTimeField(_("renewed at"))
    expires_at = models.DateTimeField(_("expires at"))
    last_used_at = models.DateTimeField(_("last used at"), null=True)
    last_used_ip = models.GenericIPAddressField(_("last used from"), null=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True)
    revoke_reason = models.CharField(_("reason"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("login")
        verbose_name_plural = _("logins")
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="pikku_auth_login_digest"),
        ]
        indexes = [
            starts_index("preview", name="pikku_auth_login_preview"),
            starts_index("client_id", name="pikku_auth_login_client"),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} ({self.preview}…)"

    @property
    def scopes(self) -> list[str]:
        """The scopes that were granted to it; none before it is verified."""
        return scope_strings(self.granted or {})

    @property
    def requested_scopes(self) -> list[str]:
        """The scopes that were asked for at login; empty if none were, which asks for all."""
        return scope_strings(self.permissions or {})

    @property
    def max_expires_at(self) -> datetime | None:
        """What no use of this login moves its end past, or ``None`` for nothing."""
        lifetime = conf.login_max_lifetime
        return None if lifetime is None else self.created_at + lifetime

    def expiry_from(self, now: datetime) -> datetime:
        """When it ends if nobody uses it after ``now``."""
        end = now + conf.login_lifetime
        return end if self.max_expires_at is None else min(end, self.max_expires_at)

    def invalid_reason(self, now: datetime) -> str | None:
        """Why this login is refused at ``now``, or ``None`` while it is good.

        Wants ``user`` selected. At the instant of ``expires_at`` it has expired.
        """
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.expires_at or (self.max_expires_at and now >= self.max_expires_at):
            return "expired"
        return user_invalid_reason(self.user, self.auth_hash)


def is_over(now: datetime) -> Q:
    """Logins that have expired at ``now``, for a query."""
    over, lifetime = Q(expires_at__lte=now), conf.login_max_lifetime
    return over if lifetime is None else over | Q(created_at__lte=now - lifetime)


def user_invalid_reason(user: User, auth_hash: str) -> str | None:
    """Why nothing counts that ``user`` has allowed under the password of ``auth_hash``."""
    if not user.is_active:
        return "owner_inactive"
    if not is_auth_hash_of(user, auth_hash):
        return "password_changed"
    return None


def auth_hashes(user: User) -> list[str]:
    """What Django's sessions compare to end with a password: now, and under older secret keys."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]


def is_auth_hash_of(user: User, auth_hash: str) -> bool:
    """Whether ``user`` still has the password of then."""
    return any(constant_time_compare(auth_hash, known) for known in auth_hashes(user))


class Attempts(NaturalKeyModel):
    """How often somebody has tried something in a window, which ends at ``expires_at``.

    In the database and not in a cache, because it must survive a flush and be exact.
    """

    natural_key_fields = ("subject",)

    subject = models.CharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject"], name="pikku_auth_attempts_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.count} until {self.expires_at:%H:%M:%S}"
