"""What a login may do: what was asked for, and what ``LOGIN_SCOPES`` gives its user now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from pikku_auth.conf import conf
from pikku_auth.core.permissions import (
    AUTH,
    Grant,
    Permissions,
    intersect,
    missing,
    normalise,
    scope_strings,
    without_auth,
)
from pikku_auth.exceptions import NothingGranted
from pikku_auth.flows.hooks import call
from pikku_auth.models import LoginSession
from pikku_auth.models.users import User

LOGIN_NOT_ALLOWED = "login_not_allowed"

PERMISSIONS = {
    "mint": "pikku_auth.mint_apikey",
    "read": "pikku_auth.view_apikey",
    "revoke": "pikku_auth.revoke_apikey",
    "rotate": "pikku_auth.mint_apikey",
}
"""What a human needs for an action of the resource ``auth``; the others are for machines only."""


def default_login_scopes(user: User) -> Grant:
    """``*`` for superusers; ``perm:*`` for everybody else: their Django permissions as they are.

    And ``auth:*``, of which a login gets what it names and its user's permissions allow.
    """
    return ["*" if getattr(user, "is_superuser", False) else "perm:*", f"{AUTH}:*"]


def scopes_given_to(user: User) -> dict[str, list[str]] | None:
    """What ``LOGIN_SCOPES`` gives ``user`` now; ``None`` if they may not log in.

    Those of the resource ``auth`` are for logins that ask for them by name. ``user`` must not be
    bound by a credential yet: the host may ask for their permissions.

    :raises ImproperlyConfigured: when the setting, or its function's result, is not a grant.
    :raises MappingFailed: when the function raises what could be taken for an answer.
    """
    given = conf.login_scopes
    if callable(given):
        given = call(given, user)
        if given is None:
            return None
    try:
        return normalise(given, most=None)
    except ValueError as error:
        raise ImproperlyConfigured(f"PIKKU_AUTH['LOGIN_SCOPES'] is not a grant: {error}") from error


@dataclass(frozen=True, slots=True)
class Offer:
    """What a login would be granted. ``missing`` are scopes that were asked for in vain.

    ``is_approvable`` where it would be granted something, or where no scope of this site was
    asked for: such a login only tells who its user is.
    """

    may_log_in: bool
    is_approvable: bool
    permissions: dict[str, list[str]]
    missing: list[str]


def offer_to(user: User, requested: Permissions | None) -> Offer:
    """What a login of ``user`` would be granted; see :func:`scopes_given_to`."""
    given = scopes_given_to(user)
    permissions = _granted(user, requested, given or {})
    in_vain = missing(permissions, scope_strings(requested or {}))
    is_approvable = given is not None and (bool(permissions) or requested == {})
    return Offer(given is not None, is_approvable, permissions, in_vain)


def require_something(offer: Offer) -> None:
    """Insist that a login can do something.

    :raises NothingGranted: when its user may not log in, or would be granted no scope.
    """
    if not offer.may_log_in:
        raise NothingGranted("You may not log in from a terminal")
    if not offer.is_approvable:
        raise NothingGranted("This login could do nothing: you have none of the scopes")


def grant_to(login: LoginSession) -> bool:
    """Set ``login.granted``. ``False`` if its user may not log in. Wants ``user`` selected."""
    return grant_to_each([login])


def grant_to_each(logins: Sequence[LoginSession]) -> bool:
    """As :func:`grant_to`, for logins of one user, who is asked about once."""
    given = scopes_given_to(logins[0].user) if logins else None
    for login in logins:
        login.granted = _granted(login.user, login.permissions, given or {})
    return given is not None


def _granted(user: User, requested: Permissions | None, given: Permissions) -> dict[str, list[str]]:
    granted = intersect(without_auth(given) if requested is None else requested, given)
    if AUTH not in granted:
        return granted
    return intersect(granted, {**granted, AUTH: _permitted_actions(user)})


def _permitted_actions(user: User) -> list[str]:
    # A user model without PermissionsMixin has no such method, and its users no permissions.
    has_perm = getattr(user, "has_perm", None)
    return [action for action, name in PERMISSIONS.items() if has_perm and has_perm(name)]
