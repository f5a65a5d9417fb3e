"""Service users and their keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import Permissions, intersect, normalise, scope_strings
from pikku_auth.models.indexes import starts_index
from pikku_auth.models.natural_keys import NaturalKeyModel, NaturalKeyQuerySet

PRIVILEGES = ("is_staff", "is_superuser")
"""What no service user may be, where the host's user model has it."""


def privileges_of(user: Any) -> list[str]:
    """Those of ``PRIVILEGES`` that ``user`` has."""
    return [name for name in PRIVILEGES if getattr(user, name, False)]


class ServiceUser(NaturalKeyModel):
    """A stable machine identity, for example ``sandbox-runtime``.

    ``user`` is a real row of the host's user model, so permissions, groups and foreign
    keys work; it becomes ``None`` when that row is deleted, and every key is dead then.
    """

    natural_key_fields = ("name",)

    name = models.CharField(_("name"), max_length=100)
    description = models.CharField(_("description"), max_length=500, blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="pikku_service_user",
    )
    scopes = models.JSONField(
        _("ceiling"),
        null=True,
        blank=True,
        help_text=_("The most that its keys may do, as scopes. Without a ceiling: no limit."),
    )
    contacts = models.JSONField(
        _("contacts"),
        default=list,
        blank=True,
        help_text=_("E-mail addresses of those who hear of its keys before they end."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Switch off to stop every key at once.")
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("service user")
        verbose_name_plural = _("service users")
        constraints = [
            models.UniqueConstraint(fields=["name"], name="pikku_auth_service_user_name"),
        ]
        indexes = [starts_index("name", name="pikku_auth_user_name_start")]
        permissions = [("grant_any_scope", _("Can grant any scope, and set ceilings"))]

    def __str__(self) -> str:
        return self.name

    @property
    def ceiling(self) -> Permissions | None:
        """The most that its keys may do; ``None`` if no ceiling is set."""
        return None if self.scopes is None else normalise(self.scopes, most=None)

    @property
    def is_inactive(self) -> bool:
        """Whether it is deactivated, or its Django user is inactive or gone."""
        user: Any = self.user
        return not self.is_active or user is None or not user.is_active

    @property
    def is_privileged(self) -> bool:
        """Whether its Django user is staff or a superuser, whom no scope of a key could bound."""
        return bool(privileges_of(self.user))

    @property
    def is_usable(self) -> bool:
        """Whether its keys may work at all."""
        return not (self.is_inactive or self.is_privileged)


class KeyState(models.TextChoices):
    """What a key is at a moment; only an active one authenticates."""

    ACTIVE = "active", _("active")
    EXHAUSTED = "exhausted", _("quota used up")
    OWNER_INACTIVE = "owner_inactive", _("owner inactive")
    OWNER_PRIVILEGED = "owner_privileged", _("owner privileged")
    SUSPENDED = "suspended", _("stopped with its parent")
    DISABLED = "disabled", _("disabled")
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", _("revoked")


class APIKeyQuerySet(NaturalKeyQuerySet["APIKey"]):
    """Reads keys by what they are at a moment."""

    def in_state(self, state: str, now: datetime) -> APIKeyQuerySet:
        """Those whose :meth:`APIKey.state` at ``now`` is ``state``.

        Plain conditions, which indexes can serve: a key has the first state that fits it.
        """
        earlier = Q()
        for name, fits, differs in _conditions(now):
            if name == state:
                return self.filter(fits & earlier)  # what fits the fewest comes first
            earlier &= differs
        return self.filter(earlier) if state == KeyState.ACTIVE else self.none()

    def alive(self, now: datetime) -> APIKeyQuerySet:
        """Those that are neither revoked nor expired at ``now``."""
        (_, _, unrevoked), (_, _, unexpired), *_others = _conditions(now)
        return self.filter(unrevoked & unexpired)


def unused_since(moment: datetime) -> Q:
    """Keys that nobody has used since ``moment``, for a query; those made since then are none."""
    return Q(last_used_at__lte=moment) | Q(last_used_at=None, created_at__lte=moment)


def is_live(now: datetime) -> Q:
    """Keys that are active at ``now`` if their owner is usable, for a query."""
    owner = {KeyState.OWNER_INACTIVE, KeyState.OWNER_PRIVILEGED}
    live = Q()
    for state, _fits, differs in _conditions(now):
        if state not in owner:
            live &= differs
    return live


def _conditions(now: datetime) -> list[tuple[KeyState, Q, Q]]:
    """Each state but ``ACTIVE``, in the order of :meth:`APIKey.state`: what fits, what doesn't."""
    owners = ServiceUser.objects.order_by()
    inactive = Q(is_active=False) | Q(user=None)
    if _users_have("is_active"):
        inactive |= Q(user__is_active=False)
    privileged = Q(pk__in=[])  # nobody
    for name in filter(_users_have, PRIVILEGES):
        privileged |= Q(**{f"user__{name}": True})
    of_inactive = Q(service_user__in=owners.filter(inactive).values("pk"))
    of_privileged = Q(service_user__in=owners.filter(privileged).values("pk"))
    never_refilled = Q(refill_count=None) | Q(refill_period=None)
    refilled = Q(refill_count__isnull=False, refill_period__isnull=False)
    # Not remaining=0, which PostgreSQL would ask of each row last: few have used up their quota.
    used_up, unbounded = Q(remaining__lte=0), Q(remaining=None) | Q(remaining__gt=0)
    return [
        (KeyState.REVOKED, Q(revoked_at__isnull=False), Q(revoked_at=None)),
        (KeyState.EXPIRED, Q(expires_at__lte=now), Q(expires_at=None) | Q(expires_at__gt=now)),
        (KeyState.DISABLED, Q(enabled=False), Q(enabled=True)),
        (KeyState.SUSPENDED, Q(is_suspended=True), Q(is_suspended=False)),
        (KeyState.OWNER_INACTIVE, of_inactive, ~of_inactive),
        (KeyState.OWNER_PRIVILEGED, of_privileged, ~of_privileged),
        (KeyState.EXHAUSTED, used_up & never_refilled, unbounded | refilled),
    ]


def _users_have(field: str) -> bool:
    """Whether ``field`` is a column of the host's user model."""
    try:
        get_user_model()._meta.get_field(field)
    except FieldDoesNotExist:
        return False
    return True


class APIKey(NaturalKeyModel):
    """A scoped credential of one service user. Only the SHA-256 of the secret is kept.

    One that was minted by another key has that as its ``parent``, and stops with it. The fields
    ``is_suspended``, ``parent_scopes`` and ``parent_networks`` say what its parent is now, so that
    one row tells all: whether it is stopped; the ceiling of its service user, if that is another
    than the child's; and from where it may be used. :mod:`pikku_auth.flows.keys.family` keeps them.
    """

    natural_key_fields = ("digest",)

    service_user = models.ForeignKey(
        ServiceUser,
        verbose_name=_("service user"),
        on_delete=models.PROTECT,
        related_name="keys",
    )
    name = models.CharField(_("name"), max_length=200, blank=True)
    preview = models.CharField(
        _("preview"), max_length=32, help_text=_("The first characters, to tell keys apart by.")
    )
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    permissions = models.JSONField(_("permissions"), default=dict, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    networks = models.JSONField(_("allowed networks"), default=list, blank=True)
    delegation = models.JSONField(_("delegation"), default=dict, blank=True)

    parent = models.ForeignKey(
        "self",
        verbose_name=_("minted by"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,  # the index of Meta begins with it
    )
    is_suspended = models.BooleanField(default=False, editable=False)
    parent_scopes = models.JSONField(null=True, editable=False)
    parent_networks = models.JSONField(default=list, editable=False)

    created_at = models.DateTimeField(_("created at"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    revoke_reason = models.CharField(_("reason"), max_length=200, blank=True)
    rotated_at = models.DateTimeField(_("rotated at"), null=True, blank=True)
    rotated_from = models.OneToOneField(
        "self",
        verbose_name=_("rotated from"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="successor",
    )
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(_("last used from"), null=True, blank=True)

    rate_count = models.PositiveIntegerField(_("calls per window"), null=True, blank=True)
    rate_period = models.DurationField(_("window"), null=True, blank=True)
    window_started_at = models.DateTimeField(null=True, blank=True, editable=False)
    window_calls = models.PositiveIntegerField(default=0, editable=False)

    remaining = models.PositiveIntegerField(_("calls remaining"), null=True, blank=True)
    refill_count = models.PositiveIntegerField(_("refilled to"), null=True, blank=True)
    refill_period = models.DurationField(_("refilled every"), null=True, blank=True)
    refilled_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = APIKeyQuerySet.as_manager()  # type: ignore[misc]  # as Django has it

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints = [
            # Not unique=True, which on PostgreSQL adds a second, useless LIKE index.
            models.UniqueConstraint(fields=["digest"], name="pikku_auth_api_key_digest"),
        ]
        indexes = [
            starts_index("preview", name="pikku_auth_api_key_preview"),
            starts_index("name", name="pikku_auth_api_key_name"),
            # What the admin sorts and filters by. None on what using a key changes, such as
            # last_used_at and remaining: each use would write every index of the row.
            models.Index(fields=["name", "id"], name="pikku_auth_api_key_by_name"),
            models.Index(fields=["expires_at", "id"], name="pikku_auth_api_key_by_end"),
            models.Index(fields=["revoked_at"], name="pikku_auth_api_key_revoked"),
            models.Index(fields=["enabled"], name="pikku_auth_api_key_enabled"),
            models.Index(fields=["parent", "expires_at"], name="pikku_auth_api_key_children"),
        ]
        permissions = [
            ("mint_apikey", _("Can mint API keys")),
            ("revoke_apikey", _("Can revoke API keys")),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.preview}…)" if self.name else f"{self.preview}…"

    @property
    def scopes(self) -> list[str]:
        """The permissions as scope strings."""
        return scope_strings(self.permissions)

    @property
    def allowed(self) -> Permissions:
        """What the key may do now: its permissions, cut by its service user's ceiling.

        That of a child is cut by the ceiling of its parent's service user, too.
        """
        allowed: Permissions = self.permissions
        ceiling = self.service_user.ceiling
        if ceiling is not None:
            allowed = intersect(allowed, ceiling)
        if self.parent_scopes is not None:
            allowed = intersect(allowed, normalise(self.parent_scopes, most=None))
        return allowed

    @property
    def allowed_scopes(self) -> list[str]:
        """:attr:`allowed` as scope strings."""
        return scope_strings(self.allowed)

    @property
    def delegate(self) -> Delegation:
        """For whom it may manage keys, and how, if it has a scope of the resource ``auth``."""
        return Delegation.of_json(self.delegation)

    def acts_for(self, service_user: ServiceUser) -> bool:
        """Whether it may manage the keys of ``service_user``, as far as its scopes go."""
        is_own = service_user.pk == self.service_user_id
        return is_own or self.delegate.names(service_user.name)

    @property
    def rate(self) -> Rate | None:
        """Calls allowed in each fixed window, or ``None`` for no limit."""
        if self.rate_count is None or self.rate_period is None:
            return None
        return Rate(self.rate_count, self.rate_period)

    @property
    def refill(self) -> Rate | None:
        """What the quota is set back to, and how often; ``None`` for never."""
        if self.refill_count is None or self.refill_period is None:
            return None
        return Rate(self.refill_count, self.refill_period)

    @property
    def has_limits(self) -> bool:
        """Whether its calls have to be counted at all."""
        return self.rate_count is not None or self.remaining is not None

    def state(self, now: datetime) -> KeyState:
        """What this key is at ``now``; the rule of every integration.

        Wants ``service_user__user`` selected. At the instant of ``expires_at`` the key
        has expired.
        """
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return KeyState.EXPIRED
        if not self.enabled:
            return KeyState.DISABLED
        if self.is_suspended:
            return KeyState.SUSPENDED
        if self.service_user.is_inactive:
            return KeyState.OWNER_INACTIVE
        if self.service_user.is_privileged:
            return KeyState.OWNER_PRIVILEGED
        if self.remaining == 0 and self.refill is None:
            return KeyState.EXHAUSTED
        return KeyState.ACTIVE
