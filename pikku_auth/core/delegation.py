"""For whom a key may manage other keys, and what those may have that it has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _
from pikku_auth.core.metadata import check_metadata
from pikku_auth.core.permissions import AUTH, Permissions

EVERY = "*"
"""Stands for every service user, for keys that only look."""

MAX_NAMES = 200
MAX_CHILDREN = 1_000_000
_LOOKING = {"introspect", "introspect_logins", "read"}


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a key with a scope of the resource ``auth`` may do beyond managing its siblings.

    ``service_users`` names those that it acts for besides its own, or is ``["*"]``. The keys
    that it mints have its metadata, and may have further members only under the names in
    ``metadata``. At most ``most`` of them are alive at a time.

    :raises ValueError: when a name or a number is out of bounds.
    """

    service_users: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    most: int = 1_000

    def __post_init__(self) -> None:
        names = _words(self.service_users, _("Give the service users as a list of names."))
        members = _words(self.metadata, _("Give the names of metadata as a list."))
        check_metadata(dict.fromkeys(members))
        if not isinstance(self.most, int) or not 0 < self.most <= MAX_CHILDREN:
            raise BrokenRule(
                _("The number of keys alive at a time must be from 1 to %(most)d."),
                most=MAX_CHILDREN,
            )
        object.__setattr__(self, "service_users", names)
        object.__setattr__(self, "metadata", members)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Delegation:
        """The delegation that :meth:`as_json` has written."""
        return cls(**stored)

    def as_json(self) -> dict[str, Any]:
        """How it is stored."""
        return {
            "service_users": [*self.service_users],
            "metadata": [*self.metadata],
            "most": self.most,
        }

    def names(self, service_user: str) -> bool:
        """Whether it names that service user."""
        return service_user in self.service_users or EVERY in self.service_users


def require_sensible(delegation: Delegation, permissions: Permissions) -> None:
    """Insist that a delegation goes with what its key may do.

    :raises ValueError: for a key without a scope of the resource ``auth``, and for one that
        changes keys and names every service user.
    """
    actions = set(permissions.get(AUTH, ()))
    if not actions:
        raise BrokenRule(
            _("Only a key with a scope such as auth:mint can act for other service users.")
        )
    if EVERY in delegation.service_users and not actions <= _LOOKING:
        raise BrokenRule(
            _("* is for keys that only look: name each service user whose keys this one changes.")
        )


def _words(given: Iterable[str], otherwise: str) -> tuple[str, ...]:
    is_list = isinstance(given, Iterable) and not isinstance(given, str | Mapping)
    words = tuple(dict.fromkeys(given)) if is_list else ()
    if not is_list or not all(isinstance(word, str) and word for word in words):
        raise BrokenRule(otherwise)
    if len(words) > MAX_NAMES:
        raise BrokenRule(_("A delegation has at most %(most)d names."), most=MAX_NAMES)
    return words
