"""What is asked of a user of the host's model, whatever that model is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class User(Protocol):
    """A human, or the Django user of a service user.

    Every model that is based on Django's ``AbstractBaseUser`` fits.
    """

    @property
    def pk(self) -> Any: ...
    @property
    def is_active(self) -> Any: ...
    def get_username(self) -> Any: ...
    def get_session_auth_hash(self) -> str: ...
    def get_session_auth_fallback_hash(self) -> Iterable[str]: ...


class Staff(Protocol):
    """Who has Django's permissions, or hasn't."""

    def has_perm(self, perm: str, /) -> bool: ...
    def has_module_perms(self, app_label: str, /) -> bool: ...


def username_of(user: User | None) -> str:
    """The name by which ``user`` signs in, on every page, in every answer, log and command.

    Django has it as ``get_username()``: the column that ``USERNAME_FIELD`` names, which may be
    an e-mail address. Empty for ``None`` and for the anonymous user.
    """
    return "" if user is None else str(user.get_username())
