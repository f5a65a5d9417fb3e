"""What every door hands to the application: who calls, and what the credential allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pikku_auth.core.permissions import Permissions, missing
from pikku_auth.models import APIKey, ServiceUser

_BOUND = "_pikku_auth_permissions"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. In DRF it is ``request.auth``; ``request.user`` is ``user``.

    ``permissions`` is what the credential allows, never more than it was minted with.
    """

    user: Any
    via: Literal["api_key"]
    key: APIKey
    permissions: Permissions

    @property
    def service_user(self) -> ServiceUser:
        """The machine identity that owns the key."""
        return self.key.service_user

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was stored with the key when it was minted."""
        metadata: Mapping[str, Any] = self.key.metadata
        return metadata

    @property
    def expires_at(self) -> datetime | None:
        """When the credential ends, or ``None`` for never."""
        return self.key.expires_at

    def has_scope(self, *scopes: str) -> bool:
        """Whether every one of ``scopes`` is allowed.

        :raises ValueError: when none is given, or one is not of the grammar.
        """
        if not scopes:
            raise ValueError("Name at least one scope.")
        return not missing(self.permissions, scopes)


def bind(user: Any, permissions: Permissions) -> None:
    """Bound what this ``user`` object may do by the credential it came with.

    :class:`pikku_auth.backends.ServiceUserBackend` enforces the bound in ``has_perm``.
    """
    setattr(user, _BOUND, permissions)


def bound_of(user: object) -> Permissions | None:
    """What :func:`bind` has set, or ``None`` for a user that came without a credential."""
    bound: Permissions | None = getattr(user, _BOUND, None)
    return bound
