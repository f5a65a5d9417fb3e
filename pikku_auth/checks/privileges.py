"""Checks of what the database says of service users."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from pikku_auth.flows.accounts import privileged_service_users
from pikku_auth.flows.database import primary


def check_privileges(
    *, databases: Sequence[str] | None = None, **_kwargs: object
) -> list[CheckMessage]:
    """Report service users that somebody has made staff or superusers."""
    using = primary()
    names = privileged_service_users(using) if using in (databases or ()) else []
    return [
        CheckWarning(
            f"The Django user of the service user {name!r} is staff or a superuser, so each of "
            "its keys is refused (owner_privileged).",
            hint="Take is_staff and is_superuser away from that user, or delete the service user.",
            id="pikku_auth.W014",
        )
        for name in names
    ]
