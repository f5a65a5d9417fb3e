"""Who may be given a machine's secret: nobody who would gain by it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from pikku_auth.exceptions import InvalidInput
from pikku_auth.models import ServiceUser


def require_covers(staff: Any, service_user: ServiceUser) -> None:
    """Insist that ``staff`` has every permission of the Django user behind a service user.

    Whoever sees the secret of a key can act as its owner, within its scopes.

    :raises InvalidInput: naming some that are lacking.
    """
    # A user model without PermissionsMixin has no such method, and its users no permissions.
    permissions_of = getattr(service_user.user, "get_all_permissions", set[str])
    lacking = sorted(perm for perm in permissions_of() if not staff.has_perm(perm))
    if lacking:
        some = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        raise InvalidInput(
            "service_user",
            _(
                "%(name)s may do what you may not (%(some)s), and its secret would let you: "
                "ask somebody who may."
            )
            % {"name": service_user, "some": some},
        )
