"""Keys as better-auth's API-key plugin has them on the wire: what is sent, and what is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from pikku_auth.conf import conf
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import scope_strings
from pikku_auth.core.secrets import Secret
from pikku_auth.flows.keys.validation import named
from pikku_auth.models import APIKey
from pikku_auth.views.http import in_iso, type_of

SERVER_ONLY = {"prefix"}
"""What better-auth lets a client choose, and we don't."""

_NUMBER, _STRING, _BOOLEAN, _OBJECT, _LIST = "number", "string", "boolean", "object", "array"
_NULLABLE = {"expiresIn", "remaining", "metadata", "delegation", "name", "permissions", "overlap"}
_TYPES = {
    "configId": _STRING,
    "name": _STRING,
    "organizationId": _STRING,
    "expiresIn": _NUMBER,
    "metadata": _OBJECT,
    "permissions": _OBJECT,
    "networks": _LIST,
    "remaining": _NUMBER,
    "refillAmount": _NUMBER,
    "refillInterval": _NUMBER,
    "rateLimitMax": _NUMBER,
    "rateLimitTimeWindow": _NUMBER,
    "rateLimitEnabled": _BOOLEAN,
    "delegation": _OBJECT,
    "keyId": _STRING,
    "enabled": _BOOLEAN,
    "reason": _STRING,
    "overlap": _NUMBER,
    "keepChildren": _BOOLEAN,
}
WIRE_NAMES = {
    "scopes": "permissions",
    "lifetime": "expiresIn",
    "quota": "remaining",
    "rate": "rateLimitMax",
    "refill": "refillAmount",
    "service_user": "organizationId",
    "key": "keyId",
    "request_id": "Idempotency-Key",
}
"""What the verbs' arguments are called on the wire, where that is another name."""


def wrong_types(members: Mapping[str, Any], required: str = "") -> str:
    """What is wrong with the types of the members, in the contract's words; empty for nothing."""
    wrong = [
        f"[body.{name}] Invalid input: expected {kind}, received {type_of(members, name)}"
        for name, kind in _TYPES.items()
        if (name in members or name == required) and not _is_of_type(members, name, kind)
    ]
    return "; ".join(wrong)


def _is_of_type(members: Mapping[str, Any], name: str, kind: str) -> bool:
    found = type_of(members, name)
    return found == kind or (found == "null" and name in _NULLABLE)


def options_from(members: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a new key. What is left out is not among them, so that the verb decides.

    :raises InvalidInput: when a value breaks its rule.
    """
    options: dict[str, Any] = {
        "name": members.get("name") or "",
        "scopes": members.get("permissions") or {},
        "metadata": members.get("metadata"),
        "networks": members.get("networks", ()),
    }
    if "expiresIn" in members:
        options["lifetime"] = members["expiresIn"]
    if "remaining" in members:
        options["quota"] = members["remaining"]
    if "rateLimitMax" in members:
        options["rate"] = _rate("rate", members["rateLimitMax"], members["rateLimitTimeWindow"])
    if members.get("rateLimitEnabled") is False:
        options["rate"] = None
    if "refillAmount" in members:
        options["refill"] = _rate("refill", members["refillAmount"], members["refillInterval"])
    if members.get("delegation") is not None:
        options["delegation"] = _delegation(members["delegation"])
    return options


def _rate(field: str, count: Any, milliseconds: float) -> Rate:
    with named(field):
        try:
            return Rate(count, timedelta(milliseconds=milliseconds))
        except OverflowError as error:
            raise ValueError(str(error)) from None


def _delegation(given: dict[str, Any]) -> Delegation:
    names = {"organizationIds": "service_users", "metadata": "metadata", "maxKeys": "most"}
    with named("delegation"):
        if strange := sorted(given.keys() - names):
            raise ValueError(f"A delegation has no member {strange[0]!r}.")
        return Delegation(**{names[name]: value for name, value in given.items()})


def record_of(key: APIKey, secret: Secret | None = None) -> dict[str, Any]:
    """A key on the wire: the members of better-auth in its order, then ours.

    ``secret`` is told once, to who has made the key.
    """
    rate, refill = key.rate, key.refill
    return {
        "configId": "default",
        "name": key.name or None,
        "start": key.preview,
        "referenceId": key.service_user.name,
        "prefix": conf.prefixes.key,
        **({} if secret is None else {"key": secret.reveal()}),
        "refillInterval": refill and _milliseconds(refill),
        "refillAmount": refill and refill.count,
        "lastRefillAt": _moment(key.refilled_at),
        "enabled": key.enabled,
        "rateLimitEnabled": rate is not None,
        "rateLimitTimeWindow": rate and _milliseconds(rate),
        "rateLimitMax": rate and rate.count,
        "requestCount": key.window_calls,
        "remaining": key.remaining,
        "lastRequest": _moment(key.last_used_at),
        "expiresAt": _moment(key.expires_at),
        "createdAt": _moment(key.created_at),
        "updatedAt": _moment(key.created_at),
        "permissions": key.permissions,
        "metadata": key.metadata or None,
        "id": str(key.pk),
        "state": key.state(timezone.now()).value,
        "scopes": scope_strings(key.allowed),
        "networks": key.networks,
        "parentId": key.parent_id and str(key.parent_id),
        "rotatedFrom": key.rotated_from_id and str(key.rotated_from_id),
        "revokedAt": _moment(key.revoked_at),
        "delegation": _told(key.delegate) if key.delegation else None,
    }


def _told(delegation: Delegation) -> dict[str, Any]:
    return {
        "organizationIds": [*delegation.service_users],
        "metadata": [*delegation.metadata],
        "maxKeys": delegation.most,
    }


def _milliseconds(rate: Rate) -> int:
    return rate.period // timedelta(milliseconds=1)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else in_iso(moment)
