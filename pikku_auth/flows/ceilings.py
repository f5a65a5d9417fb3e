"""The most that the keys of a service user may do, and who may give and set it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.core.permissions import Grant, Permissions, missing, normalise, scope_strings
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import follow_service_user, held_service_user
from pikku_auth.flows.keys.validation import known_scopes, named
from pikku_auth.models import AuditEvent, ServiceUser
from pikku_auth.models.users import Staff

GRANT_ANY_SCOPE = "pikku_auth.grant_any_scope"


def set_service_user_scopes(
    service_user: ServiceUser,
    scopes: Grant | None,
    *,
    narrow_only: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> bool:
    """Set the ceiling of ``service_user``: the most that its keys may do.

    It holds for every key, from the next request on. ``None`` takes the ceiling away, and an
    empty grant allows nothing. ``narrow_only`` is for those who may not widen a ceiling.
    ``False`` if it was so already.

    :raises InvalidInput: when a scope is malformed or unknown, or ``narrow_only`` forbids it.
    """
    using, now, wanted = primary(), now or timezone.now(), checked_ceiling(scopes)
    with transaction.atomic(using=using):
        row = held_service_user(service_user.pk, using)
        if narrow_only:
            require_narrower(row, wanted)
        changed, before = row.scopes != wanted, row.scopes
        if changed:
            ServiceUser.objects.using(using).filter(pk=row.pk).update(scopes=wanted)
            service_user.scopes = row.scopes = wanted
            follow_service_user(row, using)
            _tell(service_user, before, context, now, using)
    service_user.scopes = wanted
    return changed


def checked_ceiling(scopes: Grant | None) -> list[str] | None:
    """A ceiling as it is stored.

    :raises InvalidInput: when a scope is malformed, or not in the host's vocabulary.
    """
    if scopes is None:
        return None
    with named("scopes"):
        permissions = normalise(scopes)
    return scope_strings(known_scopes(permissions))


def require_narrower(service_user: ServiceUser, wanted: list[str] | None) -> None:
    """Insist that ``wanted`` allows nothing that the ceiling of ``service_user`` does not.

    :raises InvalidInput: when it does, or there is no ceiling.
    """
    ceiling = service_user.ceiling
    if ceiling is None and wanted is None:
        return
    if ceiling is None or wanted is None or missing(ceiling, wanted):
        raise InvalidInput(
            "scopes",
            _(
                "You may narrow a ceiling, but not set, widen or remove one: that needs the "
                "permission grant_any_scope."
            ),
        )


def require_grantable(staff: Staff, service_user: ServiceUser, permissions: Permissions) -> None:
    """Insist that ``staff`` may give a key of ``service_user`` these ``permissions``.

    :raises InvalidInput: when there is no ceiling, or they exceed it, and ``staff`` lacks the
        permission ``grant_any_scope``.
    """
    if staff.has_perm(GRANT_ANY_SCOPE):
        return
    ceiling = service_user.ceiling
    if ceiling is None:
        raise InvalidInput(
            "service_user",
            _(
                "%(name)s has no ceiling of scopes, so only users with the permission "
                "grant_any_scope can make keys for it. They can also set a ceiling."
            )
            % {"name": service_user},
        )
    require_within_ceiling(service_user, permissions)


def require_within_ceiling(service_user: ServiceUser, permissions: Permissions) -> None:
    """Insist that the ceiling of ``service_user``, if it has one, allows these ``permissions``.

    :raises InvalidInput: naming the scopes that it does not allow.
    """
    ceiling = service_user.ceiling
    if ceiling is not None and (beyond := missing(ceiling, scope_strings(permissions))):
        raise InvalidInput(
            "scopes",
            _("The ceiling of %(name)s does not allow %(beyond)s. It allows: %(scopes)s.")
            % {
                "name": service_user,
                "beyond": ", ".join(beyond),
                "scopes": ", ".join(scope_strings(ceiling)) or _("nothing"),
            },
        )


def _tell(
    service_user: ServiceUser,
    before: list[str] | None,
    context: AuditContext,
    now: datetime,
    using: str,
) -> None:
    record(
        AuditEvent.Action.SERVICE_USER_SCOPES_SET,
        context=context,
        now=now,
        using=using,
        service_user=service_user,
        before=before,
        scopes=service_user.scopes,
    )
    announce(
        signals.service_user_scopes_set,
        ServiceUser,
        using,
        service_user=service_user,
        before=before,
        context=context,
    )
