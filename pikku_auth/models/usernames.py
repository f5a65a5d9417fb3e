"""What a person is called."""

from __future__ import annotations

from typing import Any


def username_of(user: Any) -> str:
    """The name by which ``user`` signs in, on every page, in every answer, log and command.

    Django has it as ``get_username()``: the column that ``USERNAME_FIELD`` names, which may be
    an e-mail address. Empty for ``None`` and for the anonymous user.
    """
    return "" if user is None else str(user.get_username())
