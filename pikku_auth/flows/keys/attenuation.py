"""A key that makes keys gives them no more than it has itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from pikku_auth.core.networks import is_within
from pikku_auth.core.permissions import AUTH, Permissions, intersect, missing, scope_strings
from pikku_auth.exceptions import ExceedsParent
from pikku_auth.models import APIKey
from pikku_auth.principal import Principal


def bounds_of(key: APIKey) -> dict[str, Any]:
    """The bounds of ``key``, as :func:`~pikku_auth.flows.set_key_bounds` takes them."""
    return {
        "networks": key.networks,
        "rate": key.rate,
        "quota": key.remaining,
        "refill": key.refill,
    }


def wider_bounds(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """The bounds by which ``after`` allows what ``before`` does not."""
    return (field for field in before if _is_wider(field, before, after))


def _is_wider(field: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    was, is_now = before[field], after[field]
    match field:
        case "networks":
            return not is_within(is_now, was)
        case "rate":
            return was is not None and (is_now is None or not is_now.is_within(was))
        case "quota":
            return was is not None and (is_now is None or is_now > was)
        case _:  # the refill of a quota: without a quota there was no limit at all
            was_limited = before["quota"] is not None
            return was_limited and is_now is not None and (was is None or not is_now.is_within(was))


def require_within_bounds(parent: APIKey, bounds: dict[str, Any]) -> None:
    """Insist that a key of ``parent`` with these bounds may be used in no way that it may not.

    No networks are those of the parent, which hold in any case.

    :raises ExceedsParent: naming the first bound that is wider.
    """
    own = most_of(parent)
    given = {**bounds, "networks": bounds["networks"] or own["networks"]}
    for field in wider_bounds(own, given):
        _refuse(field, _limit(own[field]))


def most_of(parent: APIKey) -> dict[str, Any]:
    """The widest bounds of a key that ``parent`` makes."""
    own = bounds_of(parent)
    if parent.remaining is not None and parent.refill is not None:
        own["quota"] = max(parent.remaining, parent.refill.count)
    return own


def require_within_scopes(principal: Principal, parent: APIKey, permissions: Permissions) -> None:
    """Insist that ``permissions`` are within what the key that calls may do, and manage no keys.

    :raises ExceedsParent: naming the scopes that are too much.
    """
    if AUTH in permissions:
        raise ExceedsParent(
            "scopes", _("A key that was made by a key can't manage keys, so it has no auth scope.")
        )
    own = intersect(principal.permissions, parent.allowed)
    if beyond := missing(own, scope_strings(permissions)):
        _refuse("scopes", ", ".join(scope_strings(own)) or _("nothing"), ", ".join(beyond))


def require_within_end(parent: APIKey, end: datetime | None) -> None:
    """Insist that a key that ends then does not outlive ``parent``.

    :raises ExceedsParent: when it does.
    """
    latest = parent.expires_at
    if latest is not None and (end is None or end > latest):
        _refuse("lifetime", f"{latest:%Y-%m-%d %H:%M:%S %Z}")


def metadata_within(parent: APIKey, given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a key of ``parent``: its own, and what it lets its keys add.

    ``MAP_KEY`` trusts metadata, so none of the parent's members changes.

    :raises ExceedsParent: when a member is another's, or was not named in the delegation.
    """
    names = parent.delegate.metadata
    for name, value in given.items():
        is_own = name in parent.metadata
        if (is_own and not _is_same(value, parent.metadata[name])) or (
            not is_own and name not in names
        ):
            _refuse("metadata", _metadata_limit(parent), name)
    return {**given, **parent.metadata}


def _is_same(value: Any, own: Any) -> bool:
    """As JSON has it, where ``1`` is not ``true``."""
    if isinstance(value, dict) and isinstance(own, dict):
        return value.keys() == own.keys() and all(_is_same(value[key], own[key]) for key in own)
    if isinstance(value, list) and isinstance(own, list):
        pairs = zip(value, own, strict=False)
        return len(value) == len(own) and all(_is_same(one, other) for one, other in pairs)
    return type(value) is type(own) and bool(value == own)


def _metadata_limit(parent: APIKey) -> str:
    added = ", ".join(parent.delegate.metadata) or _("nothing")
    return _("its own, unchanged, and added: %(names)s") % {"names": added}


def _refuse(field: str, limit: str, asked: str = "") -> NoReturn:
    """Say what was asked for, and what the parent has.

    :raises ExceedsParent: always.
    """
    values = {"field": asked or field, "limit": limit}
    raise ExceedsParent(
        field,
        _("A key can't give away more than it has: %(field)s is too much. It has: %(limit)s.")
        % values,
    )


def _limit(own: Any) -> str:
    return ", ".join(own) if isinstance(own, list) else str(own or _("none"))
