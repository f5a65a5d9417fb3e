"""One-time tickets for WebSockets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from pikku_auth.models.keys import APIKey
from pikku_auth.models.logins import LoginSession, user_invalid_reason
from pikku_auth.models.natural_keys import NaturalKeyModel

_KEYS = Q(key__isnull=False, login__isnull=True, user__isnull=True)
_LOGINS = Q(key__isnull=True, login__isnull=False, user__isnull=True)
_USERS = Q(key__isnull=True, login__isnull=True, user__isnull=False)


class SocketTicket(NaturalKeyModel):
    """Opens one WebSocket for the holder of one key, one login, or one browser's session.

    ``user`` and the fields that begin with ``session`` are for the latter. The session's
    key is kept as a digest, so that signing out can end what the session has opened.
    """

    natural_key_fields = ("digest",)

    digest = models.CharField(max_length=64, editable=False)
    key = models.ForeignKey(APIKey, on_delete=models.CASCADE, null=True, related_name="+")
    login = models.ForeignKey(LoginSession, on_delete=models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    session_digest = models.CharField(max_length=64, blank=True, editable=False)
    session_auth_hash = models.CharField(max_length=128, blank=True, editable=False)
    session_expires_at = models.DateTimeField(null=True)
    session_ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("created at"))
    redeem_by = models.DateTimeField(db_index=True)
    redeemed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("WebSocket ticket")
        verbose_name_plural = _("WebSocket tickets")
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="pikku_auth_ticket_digest"),
            models.CheckConstraint(
                condition=_KEYS | _LOGINS | _USERS, name="pikku_auth_ticket_one_holder"
            ),
        ]
        indexes = [models.Index(fields=["session_digest"], name="pikku_auth_ticket_session")]

    def __str__(self) -> str:
        return f"{self.key or self.login or self.user}, {self.created_at:%Y-%m-%d %H:%M:%S}"

    @property
    def expires_at(self) -> datetime | None:
        """When the browser's session behind this ticket ends."""
        return self.session_expires_at

    def why_session_dead(self, now: datetime) -> str | None:
        """Why the browser's session behind this ticket counts no more, or ``None`` if it does.

        Wants ``user`` selected.
        """
        if self.session_ended_at is not None:
            return "signed_out"
        if self.session_expires_at is None or now >= self.session_expires_at:
            return "expired"
        user: Any = self.user  # a session's ticket has one
        return user_invalid_reason(user, self.session_auth_hash)
