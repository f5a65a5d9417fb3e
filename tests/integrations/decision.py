"""What an integration has decided, in the same words for every integration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pikku_auth.principal import Principal


class Decision(NamedTuple):
    """Who came in, or why not: ``status`` is that of HTTP, and so are the headers of a refusal."""

    status: int
    detail: str = ""
    code: str = ""
    challenge: str = ""
    comes_back: bool = False
    """Whether it says when."""
    is_stored: bool = True
    """By caches."""
    user: str = ""
    via: str = ""
    scopes: tuple[str, ...] = ()


def refused(status: int, detail: str, code: str, challenge: str = "") -> Decision:
    return Decision(status, detail, code, challenge, is_stored=False)


NOBODY = refused(
    401,
    "This needs an API key or a login.",
    "not_authenticated",
    'ApiKey realm="api", Bearer realm="api"',
)
"""There is no credential of ours: others may be asked, or nobody comes in."""

BAD_KEY = refused(401, "Invalid API key.", "invalid_key", 'ApiKey realm="api"')
BAD_TOKEN = refused(
    401,
    "Invalid or expired login.",
    "invalid_token",
    'Bearer realm="api", error="invalid_token"',
)
TOKEN_IN_KEY_HEADER = BAD_KEY._replace(
    detail="This is a login token: send it as Authorization: Bearer <token>, not in the header "
    "x-api-key."
)
KEY_IN_AUTHORIZATION = BAD_TOKEN._replace(
    detail="This is an API key: send it in the header x-api-key, not in Authorization."
)
NOT_FROM_HERE = refused(
    403, "This API key may not be used from this network.", "network_not_allowed"
)
NOT_FOR_KEYS = refused(
    403,
    "This view is closed to API keys and to logins with scopes, because it demands no scope. "
    "To open it, have it demand a scope, or mark it with @any_key.",
    "unscoped_view",
)
USED_UP = refused(429, "This API key's limit is used up.", "limit_exceeded")
OVER_ITS_RATE = USED_UP._replace(comes_back=True)
OUTAGE = refused(503, "Authentication is temporarily unavailable.", "unavailable")._replace(
    comes_back=True
)
CRASH = Decision(500)


def missing(scope: str, scheme: str = "ApiKey") -> Decision:
    challenge = f'{scheme} realm="api", error="insufficient_scope", scope="{scope}"'
    return refused(403, f"Missing scope: {scope}.", "insufficient_scope", challenge)


def told_of(principal: Principal | None) -> dict[str, Any]:
    """What a view says of its caller."""
    if principal is None:
        return {"detail": NOBODY.detail}
    user: Any = principal.user
    return {"user": str(user.pk), "via": principal.via, "scopes": principal.scopes}


def decision_of(status: int, told: dict[str, Any], headers: Mapping[str, str]) -> Decision:
    """What an integration's answer means; one that lets everybody in has said who came."""
    if status == 200 and "detail" in told:
        return NOBODY
    if status == 200:
        return Decision(status, user=told["user"], via=told["via"], scopes=tuple(told["scopes"]))
    has = {name.lower(): value for name, value in headers.items()}
    return Decision(
        status,
        told["detail"],
        told.get("code", ""),  # REST framework has none of its own
        challenge=has.get("www-authenticate", ""),
        comes_back=int(has.get("retry-after", 0)) > 0,
        is_stored=has.get("cache-control") != "no-store",
    )
