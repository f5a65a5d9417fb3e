"""What every integration gives the application: who calls, and what the credential allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pikku_auth.core.permissions import (
    Grant,
    Permissions,
    allows,
    freeze,
    missing,
    scope_strings,
)
from pikku_auth.models import APIKey, LoginSession, ServiceUser, SocketTicket

if TYPE_CHECKING:
    from django.contrib.auth.models import _User  # AUTH_USER_MODEL, to django-stubs

_BOUND = "_pikku_auth_permissions"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. In DRF it is ``request.auth``; ``request.user`` is ``user``.

    Either ``key`` or ``login`` is what it came with; on a WebSocket it may be neither, but
    the ``ticket`` of a browser's session. ``permissions`` is what that allows, never more
    than it was minted with or approved for. ``claims`` is what the host's ``MAP_KEY`` or
    ``MAP_LOGIN`` has added.
    """

    user: _User
    via: Literal["api_key", "login", "session"]
    permissions: Permissions
    key: APIKey | None = None
    login: LoginSession | None = None
    ticket: SocketTicket | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The same for every request with that credential; throttles use it as a name."""
        return f"{self.via}:{self.credential.pk}"

    @property
    def credential(self) -> APIKey | LoginSession | SocketTicket:
        """What it came with, of the three.

        :raises ValueError: when it is none.
        """
        credential = self.key or self.login or self.ticket
        if credential is None:
            raise ValueError("A principal has a key, a login or a ticket.")
        return credential

    @property
    def is_scoped(self) -> bool:
        """Whether it has only the scopes it was given: a key, or a login that asked for some."""
        return self.key is not None or (
            self.login is not None and self.login.permissions is not None
        )

    @property
    def service_user(self) -> ServiceUser | None:
        """The machine identity that owns the key; ``None`` for a human."""
        return self.key.service_user if self.key else None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was stored with the key when it was minted; empty for a human."""
        metadata: Mapping[str, Any] = self.key.metadata if self.key else {}
        return metadata

    @property
    def expires_at(self) -> datetime | None:
        """When the credential ends, or ``None`` for never."""
        return self.credential.expires_at

    @property
    def scopes(self) -> list[str]:
        """The permissions as scope strings."""
        return scope_strings(self.permissions)

    def has_scope(self, *scopes: str) -> bool:
        """Whether every one of ``scopes`` is allowed.

        :raises ValueError: when none is given, or one is not of the grammar.
        """
        if not scopes:
            raise ValueError("Name at least one scope.")
        return not missing(self.permissions, scopes)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What ``MAP_KEY`` or ``MAP_LOGIN`` makes of a caller.

    ``claims`` is anything that the application wants to know; ``scopes`` narrows what
    the credential allows, or leaves it as it is with ``None``.
    """

    claims: Mapping[str, Any] = field(default_factory=dict)
    scopes: Grant | None = None


def bind_user(user: Any, permissions: Permissions) -> Permissions:
    """Bound what this ``user`` object may do by the credential it came with.

    Returns a read-only copy for the principal: later changes to the credential's row by the host's
    code widen nothing.

    :class:`pikku_auth.backends.ServiceUserBackend` enforces the bound in ``has_perm``. A
    superuser's ``has_perm`` asks no backend, so on this object it is replaced. A copy of the
    object, pickled or not, has the same bound.
    """
    permissions = freeze(permissions)
    setattr(user, _BOUND, permissions)
    if getattr(user, "is_superuser", False) and not allows(permissions, "perm", "*"):
        user.has_perm = _BoundedPerm(permissions)
        user.has_module_perms = _BoundedModule(permissions)
        user.ahas_perm = _Asynchronous(user.has_perm)
        user.ahas_module_perms = _Asynchronous(user.has_module_perms)
    return permissions


def allows_perm(permissions: Permissions, perm: str) -> bool:
    """Whether a credential covers Django's permission ``perm``."""
    return allows(permissions, "perm", perm)


def allows_module(permissions: Permissions, app_label: str) -> bool:
    """Whether a credential covers any of Django's permissions in ``app_label``."""
    return allows(permissions, "perm", "*") or any(
        action.startswith(f"{app_label}.") for action in permissions.get("perm", ())
    )


@dataclass(frozen=True, slots=True)
class _BoundedPerm:
    permissions: Permissions

    def __call__(self, perm: str, obj: Any = None) -> bool:
        return allows_perm(self.permissions, perm)


@dataclass(frozen=True, slots=True)
class _BoundedModule:
    permissions: Permissions

    def __call__(self, app_label: str) -> bool:
        return allows_module(self.permissions, app_label)


@dataclass(frozen=True, slots=True)
class _Asynchronous:
    ask: Callable[..., bool]

    async def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return self.ask(*args, **kwargs)


def bound_of(user: object) -> Permissions | None:
    """What :func:`bind_user` has set, or ``None`` for a user that came without a credential."""
    bound: Permissions | None = getattr(user, _BOUND, None)
    return bound
