"""Whom a service user's warnings are mailed to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.audit import CODE, AuditContext, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import held_service_user
from pikku_auth.flows.keys.validation import check_text
from pikku_auth.models import AuditEvent, ServiceUser

MOST_CONTACTS = 20

_LONGEST = 254
"""Characters of an address (RFC 5321, 4.5.3.1.3)."""


def set_service_user_contacts(
    service_user: ServiceUser,
    contacts: Sequence[str],
    *,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> bool:
    """Say who hears of the keys of ``service_user`` before they end. ``False`` if it was so.

    :raises InvalidInput: when there are too many addresses, or one of them is none.
    """
    using, now, wanted = primary(), now or timezone.now(), checked_contacts(contacts)
    with transaction.atomic(using=using):
        row = held_service_user(service_user.pk, using)
        changed, before = bool(row.contacts != wanted), row.contacts
        if changed:
            ServiceUser.objects.using(using).filter(pk=row.pk).update(contacts=wanted)
            action = AuditEvent.Action.SERVICE_USER_CONTACTS_SET
            record(
                action,
                context=context,
                now=now,
                using=using,
                service_user=service_user,
                before=before,
                contacts=wanted,
            )
    service_user.contacts = wanted
    return changed


def checked_contacts(contacts: Sequence[str]) -> list[str]:
    """E-mail addresses as they are stored: each once, in the order given.

    :raises InvalidInput: when there are too many of them, or one of them is none.
    """
    if not isinstance(contacts, list | tuple):
        raise InvalidInput("contacts", _("Give a list of e-mail addresses."))
    checked = list(dict.fromkeys(map(_checked_address, contacts)))
    if len(checked) > MOST_CONTACTS:
        raise InvalidInput(
            "contacts", _("Name at most %(most)d contacts.") % {"most": MOST_CONTACTS}
        )
    return checked


def _checked_address(address: str) -> str:
    """``address``, which can't break a header: it is one line, without what can't be seen."""
    check_text("contacts", address, _LONGEST)
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput(
            "contacts", _("%(address)r is no e-mail address.") % {"address": address}
        ) from None
    return address
