"""Service users: make one, stop one, find one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.permissions import Grant
from pikku_auth.exceptions import InvalidInput, UnknownServiceUser
from pikku_auth.flows.accounts import (
    adopted,
    require_free,
    require_unprivileged,
    without_password,
)
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.ceilings import checked_ceiling
from pikku_auth.flows.contacts import checked_contacts
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import follow_service_user
from pikku_auth.flows.keys.validation import check_text
from pikku_auth.models import AuditEvent, ServiceUser
from pikku_auth.models.users import User

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_NAMES_COMPARED = 1_000


def create_service_user(
    name: str,
    *,
    description: str = "",
    scopes: Grant | None = None,
    contacts: Sequence[str] = (),
    user: User | None = None,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> ServiceUser:
    """Make a service user and its Django user, or adopt ``user`` as the latter.

    ``scopes`` is the ceiling of its keys; ``None`` sets none. ``contacts`` are the e-mail addresses
    of those who hear of its keys before they end. An adopted user loses its
    password, and with it every session.

    :raises InvalidInput: when the name is malformed or taken, the description or a contact
        malformed, the host's user model wants more than a name, or ``user`` has too many rights.
    """
    using, now = primary(), now or timezone.now()
    _check_name(name)
    check_description(description)
    ceiling, addresses = checked_ceiling(scopes), checked_contacts(contacts)
    details: dict[str, Any] = {"contacts": addresses} if addresses else {}
    try:
        with transaction.atomic(using=using):
            account: Any = _account(name, user)
            service_user = ServiceUser.objects.using(using).create(
                name=name,
                description=description,
                scopes=ceiling,
                contacts=addresses,
                user=account,
                created_at=now,
            )
            record(
                AuditEvent.Action.SERVICE_USER_CREATED,
                context=context,
                now=now,
                using=using,
                service_user=service_user,
                adopted=user is not None,
                scopes=ceiling,
                **details,
            )
            announce(
                signals.service_user_created,
                ServiceUser,
                using,
                service_user=service_user,
                context=context,
            )
    except IntegrityError as error:
        _require_free(name, user)
        error.add_note(_where_to_look(name))
        raise
    return service_user


def _account(name: str, user: User | None) -> Any:
    """The Django user of a new service user: ``user``, or a new one."""
    if user is not None:
        require_unprivileged(user)
        return adopted(user)
    account = conf.service_user_factory(name)
    require_unprivileged(account)
    return without_password(account)


def deactivate_service_user(
    service_user: ServiceUser, *, context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """Stop every key of ``service_user`` at once. ``False`` if it was stopped already."""
    return _switch(service_user, context, now, active=False)


def activate_service_user(
    service_user: ServiceUser, *, context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """Let the keys of ``service_user`` work again. ``False`` if they did already.

    :raises InvalidInput: when its Django user is staff or a superuser.
    """
    require_unprivileged(service_user.user)
    return _switch(service_user, context, now, active=True)


def describe_service_user(
    service_user: ServiceUser,
    description: str,
    *,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> bool:
    """Say what ``service_user`` is for. ``False`` if that was said already.

    :raises InvalidInput: when the description is too long or not readable.
    """
    using, now = primary(), now or timezone.now()
    check_description(description)
    with transaction.atomic(using=using):
        rows = ServiceUser.objects.using(using).filter(pk=service_user.pk)
        changed = bool(rows.exclude(description=description).update(description=description))
        if changed:
            action = AuditEvent.Action.SERVICE_USER_DESCRIBED
            record(action, context=context, now=now, using=using, service_user=service_user)
    service_user.description = description
    return changed


def delete_service_user(
    service_user: ServiceUser, *, context: AuditContext = CODE, now: datetime | None = None
) -> None:
    """Forget a service user that has no keys. Its Django user stays, deactivated.

    :raises InvalidInput: if it has any keys, even expired or revoked ones.
    """
    using, now = primary(), now or timezone.now()
    user: Any = service_user.user
    try:
        with transaction.atomic(using=using):
            ServiceUser.objects.using(using).filter(pk=service_user.pk).delete()
            if user is not None:
                with suppress(AttributeError):  # a model may only derive it
                    user.is_active = False
                user.save(using=using)
            action = AuditEvent.Action.SERVICE_USER_DELETED
            record(action, context=context, now=now, using=using, subject=service_user.name)
    except ProtectedError:
        raise InvalidInput(
            "service_user",
            _("%(name)s has keys, which are its history: deactivate it instead.")
            % {"name": service_user},
        ) from None


def get_service_user(name: str) -> ServiceUser:
    """The service user of that name.

    :raises UnknownServiceUser: when there is none; it carries the nearest names.
    :raises InvalidInput: when ``name`` is not a string.
    """
    if not isinstance(name, str):
        raise InvalidInput("service_user", _("Give a service user, or the name of one."))
    everyone = ServiceUser.objects.using(primary())
    # Some databases compare without regard to case, and one can't compare a NUL.
    found = everyone.filter(name=name).first() if _NAME.fullmatch(name) else None
    if found is None:
        names = list(everyone.values_list("name", flat=True)[:_NAMES_COMPARED])
        raise UnknownServiceUser(name, get_close_matches(name, names))
    return found


def _switch(
    service_user: ServiceUser, context: AuditContext, now: datetime | None, *, active: bool
) -> bool:
    using, now = primary(), now or timezone.now()
    action, signal = (
        (AuditEvent.Action.SERVICE_USER_ACTIVATED, signals.service_user_activated)
        if active
        else (AuditEvent.Action.SERVICE_USER_DEACTIVATED, signals.service_user_deactivated)
    )
    with transaction.atomic(using=using):
        rows = ServiceUser.objects.using(using).filter(pk=service_user.pk)
        changed = bool(rows.filter(is_active=not active).update(is_active=active))
        if changed:
            follow_service_user(rows.select_related("user").get(), using)
            record(action, context=context, now=now, using=using, service_user=service_user)
            announce(signal, ServiceUser, using, service_user=service_user, context=context)
    service_user.is_active = active
    return changed


def check_new_name(name: str) -> None:
    """Validate the name of a new service user: its form, and that it is free.

    :raises InvalidInput: when it is malformed or taken.
    """
    _check_name(name)
    if ServiceUser.objects.using(primary()).filter(name=name).exists():
        raise InvalidInput("name", _taken(name))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(
            "name",
            _(
                "%(name)r can't name a service user: use up to 100 lower-case letters, digits, "
                "'-' and '_', for example sandbox-runtime."
            )
            % {"name": name},
        )


def check_description(description: str) -> None:
    """Validate a description: its length and its characters.

    :raises InvalidInput: when the description is too long or not readable.
    """
    check_text("description", description, 500)


def _require_free(name: str, user: User | None) -> None:
    """Insist that what the database refused was neither the name nor the adopted user.

    :raises InvalidInput: when another has the name, or the user, already.
    """
    check_new_name(name)
    if user is not None:
        require_free(user)
    elif get_user_model()._default_manager.filter(**{_username_field(): name}).exists():
        raise InvalidInput("name", _taken(name))


def _username_field() -> str:
    return str(get_user_model().USERNAME_FIELD)


def _where_to_look(name: str) -> str:
    return (
        f"The name {name!r} is free. Look at what runs when a user is saved: "
        "SERVICE_USER_FACTORY, the save() of your user model, and its signals' receivers."
    )


def _taken(name: str) -> str:
    return _(
        "The name %(name)r is taken, by a service user or by another user: choose another, "
        "or adopt that user."
    ) % {"name": name}
