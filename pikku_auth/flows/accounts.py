"""The Django user behind a service user: it has no password and never signs in."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _

from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import log
from pikku_auth.flows.database import primary, unless_missing
from pikku_auth.models import ServiceUser
from pikku_auth.models.keys import privileges_of
from pikku_auth.models.users import User, username_of

logger = logging.getLogger("pikku_auth")

_SECRET = re.compile("api|code|key|otp|passw|pin|secret|signature|token", re.IGNORECASE)
"""Names of credentials whose values prove something. They are never looked up."""


def create_user(name: str) -> Any:
    """Make the Django user of a service user: the default of ``SERVICE_USER_FACTORY``.

    :raises InvalidInput: when the host's user model wants more than a name.
    """
    model = get_user_model()
    user = model(**{model.USERNAME_FIELD: name})
    user.set_unusable_password()
    # An empty default may be stored although no form lets it pass.
    given = [field.name for field in model._meta.fields if field.has_default()]
    try:
        user.full_clean(exclude=["password", *given], validate_unique=False)
    except ValidationError as error:
        problems = (
            f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items()
        )
        raise InvalidInput(
            "user",
            _(
                "%(model)s can't be made from the name %(name)r alone (%(problems)s): set "
                "PIKKU_AUTH['SERVICE_USER_FACTORY'] to a function that makes one, or adopt an "
                "existing user. docs/user-models.md has functions to copy."
            )
            % {"model": model.__name__, "name": name, "problems": "; ".join(problems)},
        ) from None
    user.save()
    return user


def adopted(user: Any) -> Any:
    """``user`` as the Django user of a service user, without its password and its sessions.

    :raises InvalidInput: when it belongs to a service user already.
    """
    require_free(user)
    return without_password(user)


def require_free(user: User) -> None:
    """Insist that ``user`` is not yet the Django user of a service user.

    :raises InvalidInput: when it is.
    """
    if is_service_user(user):
        raise InvalidInput(
            "user",
            _("%(user)r belongs to a service user already: adopt another.")
            % {"user": username_of(user)},
        )


def require_unprivileged(user: User | None) -> None:
    """Insist that ``user`` is neither staff nor a superuser, by its row as it is now.

    :raises InvalidInput: when it is.
    """
    if privileges_of(_as_saved(user)):
        raise InvalidInput(
            "user",
            _(
                "%(user)r is staff or a superuser, and a machine must not be: "
                "take those rights away first, or let a new user be made."
            )
            % {"user": username_of(user)},
        )


def _as_saved(user: User | None) -> Any:
    """``user`` read anew from the database, or ``None``: the caller's object may be stale."""
    pk: Any = user.pk if user is not None else None
    # The default manager of a host may hide rows.
    everyone = get_user_model()._base_manager  # noqa: SLF001
    return everyone.using(primary()).filter(pk=pk).first()


def without_password(user: Any) -> Any:
    """``user``, whose saved password is unusable from now on."""
    if has_password(user) and user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def has_password(user: Any) -> bool:
    """Whether the host's users have one: not where everybody comes by single sign-on."""
    return any(field.name == "password" for field in user._meta.concrete_fields)


def is_service_user(user: User) -> bool:
    """Whether ``user`` belongs to a machine, so that nobody may log in as it."""
    return _is_account(user.pk)


def _is_account(pk: Any) -> bool:
    using, found = primary(), False
    with unless_missing(ServiceUser, using):
        found = ServiceUser.objects.using(using).filter(user_id=pk).exists()
    return found  # noqa: RET504  # still False where the table is missing


def name_a_service_user(credentials: Mapping[str, Any]) -> bool:
    """Whether ``credentials`` name a service user in any field, and no human."""
    using, matches, named = primary(), _matches(credentials, "user__"), False
    if not matches:
        return False
    with unless_missing(ServiceUser, using):
        machines = ServiceUser.objects.using(using).filter(matches)
        named = machines.exists() and not _name_a_human(credentials, using)
    return named  # noqa: RET504  # still False where the table is missing


def _name_a_human(credentials: Mapping[str, Any], using: str) -> bool:
    people = get_user_model()._default_manager.using(using)
    return people.filter(_matches(credentials, ""), pikku_service_user=None).exists()


def _matches(credentials: Mapping[str, Any], prefix: str) -> models.Q:
    """Rows that a backend may find by ``credentials``; an empty ``Q`` if they name nobody."""
    matches = models.Q()
    for name, value in credentials.items():
        if isinstance(value, str) and value.isprintable() and value and not _SECRET.search(name):
            for field in _identifying(name):
                matches |= models.Q(**{f"{prefix}{field}__iexact": value})
    return matches


def _identifying(credential: str) -> list[str]:
    """The user model's columns of text that a backend may look ``credential`` up in."""
    model = get_user_model()
    names = {model.USERNAME_FIELD, getattr(model, "EMAIL_FIELD", "email"), credential}
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and (field.unique or field.name in names)
    ]


def validate_privileges(model: Any) -> None:
    """Let no form make a service user's row of ``model`` staff or a superuser.

    ``clean()`` is what each form of a model asks, the host's own admin included.
    """
    clean = model.clean

    @wraps(clean)
    def clean_and_refuse(user: User) -> None:
        clean(user)
        _refuse_privileges(user)

    model.clean = clean_and_refuse


def _refuse_privileges(user: User) -> None:
    if privileges_of(user) and is_service_user(user):
        raise ValidationError(
            _(
                "This user belongs to a service user, and a machine must be neither staff nor a "
                "superuser: its keys would stop working. Clear %(flags)s."
            ),
            code="owner_privileged",
            params={"flags": " and ".join(privileges_of(user))},
        )


def privileged_service_users(using: str) -> list[str]:
    """The names of the service users whose Django user is staff or a superuser."""
    names: list[str] = []
    with unless_missing(ServiceUser, using):
        everyone = ServiceUser.objects.using(using).select_related("user").order_by("name")
        names = [row.name for row in everyone.iterator() if row.is_privileged]
    return names  # noqa: RET504  # still empty where the table is missing


def refuse_password(*, instance: Any, update_fields: Any = None, **_kwargs: object) -> None:
    """Make the password of a service user's row unusable before it is saved.

    Receives ``pre_save`` of the user model.
    """
    if update_fields is not None and "password" not in update_fields:
        return
    if instance.pk is None or not (has_password(instance) and instance.has_usable_password()):
        return
    if _is_account(instance.pk):
        instance.set_unusable_password()
        logger.warning(
            "A service user has no password: that of user %s is not kept",
            instance.pk,
            extra={**log.fields("password_not_kept"), "user_id": instance.pk},
        )


def is_sign_in(update_fields: Iterable[str] | None) -> bool:
    """Whether a user was saved because they signed in, which changes nothing that we look at."""
    return update_fields is not None and set(update_fields) == {"last_login"}


def user_models() -> list[type[models.Model]]:
    """The host's user model, and those that stand for it under another name, such as a proxy.

    None where the app is missing that has it; a check reports that.
    """
    name = settings.AUTH_USER_MODEL.lower()
    return [model for model in apps.get_models() if name in _names_of(model)]


def tables_of_users() -> list[type[models.Model]]:
    """The :func:`user_models`, and those that they inherit columns from."""
    everyone = user_models()
    return [*everyone, *{base for model in everyone for base in model._meta.get_parent_list()}]


def _names_of(model: type[models.Model]) -> set[str]:
    return {base._meta.label_lower for base in model.__mro__ if hasattr(base, "_meta")}
