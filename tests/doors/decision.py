"""What a door has decided, in the same words for every door."""

from __future__ import annotations

from typing import Any, NamedTuple

from pikku_auth.principal import Principal


class Decision(NamedTuple):
    """Who came in, or why not: ``status`` is that of HTTP."""

    status: int
    detail: str = ""
    user: str = ""
    via: str = ""
    scopes: tuple[str, ...] = ()


NOBODY = Decision(401, "This needs an API key or a login.")
"""There is no credential of ours: others may be asked, or nobody comes in."""

BAD_KEY = Decision(401, "Invalid API key.")
BAD_TOKEN = Decision(401, "Invalid or expired login.")
NOT_FROM_HERE = Decision(403, "This API key may not be used from this network.")
USED_UP = Decision(429, "This API key's limit is used up.")
OUTAGE = Decision(503, "Authentication is temporarily unavailable.")


def missing(scope: str) -> Decision:
    return Decision(403, f"Missing scope: {scope}.")


def told_of(principal: Principal | None) -> dict[str, Any]:
    """What a view says of its caller."""
    if principal is None:
        return {"detail": NOBODY.detail}
    user: Any = principal.user
    return {"user": str(user.pk), "via": principal.via, "scopes": principal.scopes}


def decision_of(status: int, told: dict[str, Any]) -> Decision:
    """What a door's answer means; one that lets everybody in has said who came."""
    if "detail" in told:
        # DRF adds when to come back.
        detail = told["detail"].partition(" Expected available in ")[0]
        return Decision(NOBODY.status if status == 200 else status, detail)
    return Decision(status, "", told["user"], told["via"], tuple(told["scopes"]))
