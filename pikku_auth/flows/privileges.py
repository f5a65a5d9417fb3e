"""Prevent escalation: staff manage, and get the secrets of, only machines with no more rights
than their own."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from pikku_auth.conf import conf
from pikku_auth.core.permissions import DJANGO, Permissions, allows
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.database import primary
from pikku_auth.models import ServiceUser
from pikku_auth.models.users import Staff


def may_manage(user: Staff, service_user: ServiceUser) -> bool:
    """Whether ``user`` may manage ``service_user`` at all, in whatever way.

    What exactly, their Django permissions say; ask both. ``MAY_MANAGE`` replaces the rule,
    which is: anybody who has a Django permission of this app.
    """
    rule = conf.may_manage
    if rule is None:
        return bool(user.has_module_perms("pikku_auth"))
    return rule(user, service_user) is True


def manageable(user: Staff) -> QuerySet[ServiceUser]:
    """The service users that ``user`` may manage."""
    everyone = ServiceUser.objects.using(primary())
    if conf.may_manage is None:
        return everyone if user.has_module_perms("pikku_auth") else everyone.none()
    rows = everyone.select_related("user").iterator()
    return everyone.filter(pk__in=[row.pk for row in rows if may_manage(user, row)])


def require_covers(
    staff: Staff, service_user: ServiceUser, granted: Permissions | None = None
) -> None:
    """Insist that ``staff`` has every permission of the Django user behind a service user.

    Whoever sees the secret of a key can act as its owner, within its scopes. ``granted`` is what
    the key may do, if that counts: a person could mint another one, and a key could not.

    :raises InvalidInput: naming some that are lacking.
    """
    # A user model without PermissionsMixin has no such method, and its users no permissions.
    permissions_of = getattr(service_user.user, "get_all_permissions", set[str])
    exercised = [
        perm for perm in permissions_of() if granted is None or allows(granted, DJANGO, perm)
    ]
    lacking = sorted(perm for perm in exercised if not staff.has_perm(perm))
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
