"""The audit trail."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from pikku_auth.models.indexes import starts_index
from pikku_auth.models.keys import APIKey, ServiceUser
from pikku_auth.models.logins import LoginSession
from pikku_auth.models.natural_keys import NaturalKeyModel, NaturalKeyQuerySet

_PRECISION = timedelta(milliseconds=1)
"""Of a moment in a JSON fixture."""


class AuditEventQuerySet(NaturalKeyQuerySet["AuditEvent"]):
    """Reads and adds; changing is refused, and only pruning deletes."""

    def get_by_natural_key(self, at: datetime, *values: Any) -> AuditEvent:
        """The event with these values: a fixture has its moment without the microseconds."""
        from_ms = at.replace(microsecond=at.microsecond // 1000 * 1000)
        same_moment = self.filter(at__gte=from_ms, at__lt=from_ms + _PRECISION)
        return super(AuditEventQuerySet, same_moment).get_by_natural_key(*values)

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events are append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit events are append-only: manage.py prune_auth removes old ones.")


class AuditEvent(NaturalKeyModel):
    """Who did what to which key, login or service user, when and from where.

    ``source`` says through what: ``admin``, ``web``, ``http``, ``command``, ``code`` or a word of
    the host. Append-only, and written in the transaction of the act itself. ``subject`` and
    ``actor_name`` keep the story readable when the rows they name are gone.
    """

    class Action(models.TextChoices):
        SERVICE_USER_CREATED = "service_user_created", _("service user created")
        SERVICE_USER_DEACTIVATED = "service_user_deactivated", _("service user deactivated")
        SERVICE_USER_ACTIVATED = "service_user_activated", _("service user activated")
        SERVICE_USER_DESCRIBED = "service_user_described", _("service user described")
        SERVICE_USER_SCOPES_SET = "service_user_scopes_set", _("service user's ceiling set")
        SERVICE_USER_CONTACTS_SET = "service_user_contacts_set", _("service user's contacts set")
        SERVICE_USER_DELETED = "service_user_deleted", _("service user deleted")
        KEY_MINTED = "key_minted", _("key minted")
        KEY_IMPORTED = "key_imported", _("key imported")
        KEY_ROTATED = "key_rotated", _("key rotated")
        KEY_REVOKED = "key_revoked", _("key revoked")
        KEY_ENABLED = "key_enabled", _("key enabled")
        KEY_DISABLED = "key_disabled", _("key disabled")
        KEY_RENAMED = "key_renamed", _("key renamed")
        KEY_BOUNDS_SET = "key_bounds_set", _("key's bounds set")
        KEY_DELETED = "key_deleted", _("key deleted")
        LOGIN_APPROVED = "login_approved", _("login approved")
        LOGIN_DENIED = "login_denied", _("login denied")
        LOGIN_STARTED = "login_started", _("login started")
        LOGIN_IMPORTED = "login_imported", _("login imported")
        LOGIN_REVOKED = "login_revoked", _("login ended")
        HUMAN_FORGOTTEN = "human_forgotten", _("human forgotten")
        RETIRED = "retired", _("retired in the other system")
        PRUNED = "pruned", _("pruned")

    natural_key_fields = ("action", "subject", "actor_name", "source", "ip", "user_agent")

    at = models.DateTimeField(_("at"), db_index=True)
    action = models.CharField(_("action"), max_length=40, choices=Action.choices)
    subject = models.CharField(_("subject"), max_length=300)
    service_user = models.ForeignKey(
        ServiceUser,
        verbose_name=_("service user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="audit_events",
    )
    key = models.ForeignKey(
        APIKey,
        verbose_name=_("key"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="audit_events",
    )
    login = models.ForeignKey(
        LoginSession,
        verbose_name=_("login"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="audit_events",
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("actor"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    actor_name = models.CharField(_("actor name"), max_length=254, blank=True)
    source = models.CharField(_("source"), max_length=20)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)
    details = models.JSONField(_("details"), default=dict)

    objects = AuditEventQuerySet.as_manager()  # type: ignore[misc]  # as Django has it

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        indexes = [
            starts_index("subject", name="pikku_auth_event_subject"),
            starts_index("actor_name", name="pikku_auth_event_actor"),
            models.Index(fields=["ip"], name="pikku_auth_event_ip"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.get_action_display()}: {self.subject}"

    def natural_key(self) -> tuple[Any, ...]:
        return self.at, *super().natural_key()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit events are append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events are append-only: manage.py prune_auth removes old ones.")
