"""What a key may be given: the rules of the core and of the host, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal, cast

from django.utils import translation
from django.utils.translation import gettext as _

from pikku_auth.conf import conf
from pikku_auth.core.delegation import Delegation, require_sensible
from pikku_auth.core.durations import format_duration, require_positive
from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.limits import MAX_COUNT, Rate, is_count
from pikku_auth.core.metadata import check_metadata
from pikku_auth.core.networks import normalise_networks
from pikku_auth.core.permissions import (
    AUTH,
    AUTH_ACTIONS,
    Grant,
    Permissions,
    normalise,
    scope_strings,
    unknown,
)
from pikku_auth.core.text import check_line
from pikku_auth.exceptions import InvalidInput

Lifetime = timedelta | float | None | Literal["default"]
"""How long a key lives, as a ``timedelta`` or in seconds.

``None`` is for ever, and ``"default"`` as ``DEFAULT_KEY_LIFETIME`` says.
"""


def of_key(
    *,
    now: datetime,
    name: str = "",
    scopes: Grant = (),
    lifetime: Lifetime = "default",
    metadata: Mapping[str, Any] | None = None,
    networks: Iterable[str] = (),
    rate: Rate | None = None,
    quota: int | None = None,
    refill: Rate | None = None,
    delegation: Delegation | None = None,
) -> dict[str, Any]:
    """The columns of a new key, each checked.

    :raises InvalidInput: naming the field, when a value breaks its rule.
    """
    with named("metadata"):
        checked_metadata = check_metadata(metadata or {})
    permissions = _permissions(scopes)
    return {
        "name": check_name(name),
        "permissions": permissions,
        "delegation": _delegation(delegation, permissions),
        "metadata": checked_metadata,
        "expires_at": expiry(_lifetime(lifetime), now),
        **of_bounds(networks=networks, rate=rate, quota=quota, refill=refill),
    }


def of_bounds(
    *, networks: Iterable[str], rate: Rate | None, quota: int | None, refill: Rate | None
) -> dict[str, Any]:
    """The columns of what bounds the use of a key, each checked.

    :raises InvalidInput: naming the field, when a value breaks its rule.
    """
    with named("networks"):
        checked_networks = normalise_networks(networks)
    return {
        "networks": checked_networks,
        **_rate("rate", rate, "rate_count", "rate_period"),
        **_quota(quota, refill),
    }


@contextmanager
def named(field: str) -> Iterator[None]:
    """Turn the ``ValueError`` of a rule into an :class:`InvalidInput` of ``field``."""
    try:
        yield
    except ValueError as error:
        raise InvalidInput(field, told(error)) from None


def told(error: ValueError) -> str:
    """What a rule says, in the reader's language."""
    if not isinstance(error, BrokenRule):
        return str(error)
    return translation.gettext(error.template) % error.values


def expiry(lifetime: timedelta | None, now: datetime) -> datetime | None:
    """When a key of that lifetime ends."""
    return None if lifetime is None else now + lifetime


def capped(lifetime: timedelta | None) -> timedelta | None:
    """``lifetime``, or ``MAX_KEY_LIFETIME`` if that is shorter."""
    cap = conf.max_key_lifetime
    if cap is None or lifetime is None:
        return lifetime or cap
    return min(lifetime, cap)


def check_name(name: str) -> str:
    """Give the name of a key back if it fits its column and its readers.

    :raises InvalidInput: when it is too long or not readable.
    """
    return check_text("name", name, 200)


def check_reason(reason: str) -> str:
    """Give the reason of a revocation back if it fits its column and its readers.

    :raises InvalidInput: when it is too long or not readable.
    """
    return check_text("reason", reason, 200)


def check_text(field: str, text: str, most: int) -> str:
    """Give ``text`` back if it is one readable line of at most ``most`` characters.

    :raises InvalidInput: naming ``field``, and the character that can't be read.
    """
    with named(field):
        return check_line(text, most)


def _permissions(grant: Grant) -> dict[str, list[str]]:
    with named("scopes"):
        return known_scopes(normalise(grant))


def known_scopes(permissions: dict[str, list[str]]) -> dict[str, list[str]]:
    """Give normalised permissions back if all are known: to the host's vocabulary, or reserved.

    :raises InvalidInput: naming the first that is not, and what may have been meant.
    """
    vocabulary = conf.scopes
    if strange := unknown(permissions, vocabulary):
        known = scope_strings({**(vocabulary or {}), AUTH: AUTH_ACTIONS})
        nearest = get_close_matches(strange[0], known) or known
        raise InvalidInput(
            "scopes",
            _(
                "Unknown scope %(scope)r: did you mean %(nearest)s? "
                "PIKKU_AUTH['SCOPES'] declares them."
            )
            % {"scope": strange[0], "nearest": _(" or ").join(nearest)},
        )
    return permissions


def _delegation(delegation: Delegation | None, permissions: Permissions) -> dict[str, Any]:
    if delegation is None:
        return {}
    with named("delegation"):
        if not isinstance(delegation, Delegation):
            raise BrokenRule(_('Give a Delegation, for example Delegation(["sandbox-runtime"]).'))
        require_sensible(delegation, permissions)
    return delegation.as_json()


def _lifetime(given: Lifetime) -> timedelta | None:
    if given == "default":
        return capped(conf.default_key_lifetime)
    with named("lifetime"):
        lifetime = None if given is None else require_positive(cast("float", given))
    cap = conf.max_key_lifetime
    if cap is not None and (lifetime is None or lifetime > cap):
        raise InvalidInput(
            "lifetime",
            _("A key may live at most %(most)s here (PIKKU_AUTH['MAX_KEY_LIFETIME']).")
            % {"most": format_duration(cap)},
        )
    return lifetime


def _quota(quota: int | None, refill: Rate | None) -> dict[str, Any]:
    if quota is None and refill is not None:
        raise InvalidInput("refill", _("A refill needs a quota to fill: give both."))
    if quota is not None and not is_count(quota):
        raise InvalidInput("quota", _("A quota must be from 1 to %(most)d.") % {"most": MAX_COUNT})
    return {
        "remaining": quota,
        **_rate("refill", refill, "refill_count", "refill_period"),
    }


def _rate(field: str, rate: Rate | None, count: str, period: str) -> dict[str, Any]:
    if rate is None:
        return {count: None, period: None}
    if not isinstance(rate, Rate):
        raise InvalidInput(field, _("Give a Rate, for example Rate(100, timedelta(minutes=1))."))
    return {count: rate.count, period: rate.period}
