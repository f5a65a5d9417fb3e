"""The permission grammar: ``{"sandbox": ["read", "write"]}`` at rest and on the wire,
``sandbox:read`` where people type.

Matching is exact and case-sensitive. The only wildcards are ``resource:*`` and ``*``,
and they mean what they say only on the granted side. Nothing granted, nothing allowed.

Two resources are reserved, and known whatever a host declares: ``perm`` for Django's own
permissions, and ``auth`` for managing credentials, which ``*`` never allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _
from pikku_auth.core.frozen import FrozenDict

Permissions = Mapping[str, Sequence[str]]
"""Normalised permissions: resources and actions sorted, none empty, none twice."""

Grant = Permissions | Mapping[str, Iterable[str]] | Iterable[str]
"""Permissions as callers may give them: a mapping, or scope strings."""

MAX_SCOPES = 200
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SCOPE_PARAMETER = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_ANY = "*"

DJANGO = "perm"
"""The resource whose actions are Django's own permissions."""

AUTH = "auth"
"""The resource of managing credentials. It has to be named: ``*`` does not allow it."""

AUTH_ACTIONS = ("introspect", "introspect_logins", "mint", "read", "revoke", "rotate")


def parse_scope(scope: str) -> tuple[str, str]:
    """Split ``"sandbox:read"`` into resource and action; ``"*"`` is ``("*", "*")``.

    :raises ValueError: when it is not of the grammar.
    """
    resource, colon, action = scope.partition(":") if isinstance(scope, str) else ("", "", "")
    if scope == _ANY:
        return _ANY, _ANY
    if not (colon and _WORD.fullmatch(resource) and (action == _ANY or _WORD.fullmatch(action))):
        raise BrokenRule(
            _(
                "%(scope)r is not a scope: write resource:action, for example sandbox:read, "
                "or sandbox:* for every action of a resource, or * for everything."
            ),
            scope=scope,
        )
    return resource, action


def is_scope_parameter(text: str) -> bool:
    """Whether ``text`` is scope tokens of any form, with spaces between (RFC 6749, A.4)."""
    return _SCOPE_PARAMETER.fullmatch(text) is not None


def read_scope_parameter(
    text: str, vocabulary: Permissions | None = None
) -> tuple[dict[str, list[str]] | None, list[str]]:
    """The permissions that a ``scope`` parameter asks for, and its tokens that name none.

    Those are not of the grammar, or not in ``vocabulary`` if there is one. Without any token the
    permissions are ``None``, which asks for all; with such tokens only, they are empty.
    """
    tokens = list(dict.fromkeys(filter(None, text.split(" "))))
    ours = [token for token in tokens if _names_permission(token, vocabulary)]
    foreign = [token for token in tokens if token not in ours]
    return (normalise(ours, most=None) if tokens else None), foreign


def check_scopes(scopes: Iterable[str]) -> None:
    """Validate required scopes when the view is defined, before any request comes.

    :raises ValueError: when a scope is not of the grammar.
    """
    for scope in scopes:
        parse_scope(scope)


def normalise(grant: Grant, *, most: int | None = MAX_SCOPES) -> dict[str, list[str]]:
    """Read permissions in either spelling; sort them, and drop what is said twice.

    :raises ValueError: when a scope is not of the grammar, or there are more than ``most``.
    """
    found: dict[str, set[str]] = {}
    for scope in _scopes_of(grant):
        resource, action = parse_scope(scope)
        found.setdefault(resource, set()).add(action)
    if most is not None and sum(map(len, found.values())) > most:
        raise BrokenRule(_("A key may have at most %(most)d scopes."), most=most)
    return {resource: sorted(found[resource]) for resource in sorted(found)}


def freeze(permissions: Permissions) -> Permissions:
    """A read-only copy of normalised permissions."""
    return FrozenDict({resource: tuple(words) for resource, words in permissions.items()})


def scope_strings(permissions: Permissions) -> list[str]:
    """Write normalised permissions as scope strings."""
    return [
        _ANY if resource == _ANY else f"{resource}:{action}"
        for resource, actions in permissions.items()
        for action in actions
    ]


def covers(granted: Permissions, scope: str) -> bool:
    """Whether ``granted`` allows ``scope``.

    :raises ValueError: when ``scope`` is not of the grammar.
    """
    return allows(granted, *parse_scope(scope))


def allows(granted: Permissions, resource: str, action: str) -> bool:
    """As :func:`covers`, for a resource and an action of any spelling."""
    if _ANY in granted and resource != AUTH:
        return True
    actions = granted.get(resource, ())
    return action in actions or _ANY in actions


def intersect(a: Permissions, b: Permissions) -> dict[str, list[str]]:
    """What both of two normalised permissions allow, normalised.

    Of a wildcard and something narrower, the narrower remains: ``sandbox:*`` and
    ``sandbox:read`` give ``sandbox:read``.
    """
    both: dict[str, set[str]] = {}
    for granted, other in ((a, b), (b, a)):
        for resource, actions in granted.items():
            found = {action for action in actions if allows(other, resource, action)}
            both.setdefault(resource, set()).update(found)
    return {resource: sorted(both[resource]) for resource in sorted(both) if both[resource]}


def missing(granted: Permissions, required: Iterable[str]) -> list[str]:
    """The scopes of ``required`` that ``granted`` does not allow, in their order."""
    return [scope for scope in required if not covers(granted, scope)]


def without_auth(permissions: Permissions) -> dict[str, list[str]]:
    """``permissions`` without those of the resource ``auth``."""
    return {
        resource: list(actions) for resource, actions in permissions.items() if resource != AUTH
    }


def unknown(permissions: Permissions, vocabulary: Permissions | None) -> list[str]:
    """The scopes of ``permissions`` that the host's ``vocabulary`` does not have.

    A wildcard is known if what it opens is; ``perm:…`` mirrors Django's own permissions and is
    always known, and ``auth:…`` if it is one of :data:`AUTH_ACTIONS`. Without a vocabulary
    everything else is known.
    """
    return [
        scope
        for scope in scope_strings(permissions)
        if scope != _ANY and not _is_known(*parse_scope(scope), vocabulary)
    ]


def _names_permission(token: str, vocabulary: Permissions | None) -> bool:
    try:
        permission = normalise([token])
    except ValueError:
        return False
    return not unknown(permission, vocabulary)


def _is_known(resource: str, action: str, vocabulary: Permissions | None) -> bool:
    if resource == AUTH:
        return action == _ANY or action in AUTH_ACTIONS
    if resource == DJANGO or vocabulary is None:
        return True
    return resource in vocabulary and (action == _ANY or action in vocabulary[resource])


def _scopes_of(grant: Grant) -> Iterable[str]:
    if isinstance(grant, str):
        raise BrokenRule(_("Give the scopes as a list: [%(given)r]."), given=grant)
    if not isinstance(grant, Iterable):
        raise BrokenRule(_("Give the scopes as a list, not %(given)r."), given=grant)
    if not isinstance(grant, Mapping):
        yield from grant
        return
    for resource, actions in grant.items():
        if isinstance(actions, str):
            raise BrokenRule(
                _("Give the actions of %(resource)r as a list: [%(given)r]."),
                resource=resource,
                given=actions,
            )
        if not isinstance(actions, Iterable):
            raise BrokenRule(
                _("Give the actions of %(resource)r as a list, not %(given)r."),
                resource=resource,
                given=actions,
            )
        for action in actions:
            if not (isinstance(resource, str) and isinstance(action, str)):
                raise BrokenRule(
                    _("%(resource)r and %(action)r are not both words."),
                    resource=resource,
                    action=action,
                )
            yield _ANY if resource == action == _ANY else f"{resource}:{action}"
