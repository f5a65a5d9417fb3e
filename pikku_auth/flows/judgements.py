"""Telling whoever listens what became of a credential: for metrics.

Nobody listens in most projects, and there it costs a request one look at a dictionary.
"""

from __future__ import annotations

from typing import Any, Literal

from django.db.models import Model

from pikku_auth.exceptions import Refused, Unavailable
from pikku_auth.models import APIKey, LoginSession, SocketTicket
from pikku_auth.principal import Principal
from pikku_auth.signals import credential_judged

Kind = Literal["key", "token", "imported", "ticket"]

_KINDS: dict[Kind, tuple[type[Model], str]] = {
    "key": (APIKey, "key"),
    "token": (LoginSession, "login"),
    "imported": (APIKey, "imported"),
    "ticket": (SocketTicket, "ticket"),
}


def tell(kind: Kind, source: str, judgement: Principal | Refused) -> None:
    """Send :data:`~pikku_auth.signals.credential_judged`."""
    sender, credential = _KINDS[kind]
    if credential_judged.has_listeners(sender):
        credential_judged.send_robust(sender, **_said(credential, source, judgement))


async def atell(kind: Kind, source: str, judgement: Principal | Refused) -> None:
    """As :func:`tell`. A receiver that isn't async runs in a thread, as it may use the ORM."""
    sender, credential = _KINDS[kind]
    if credential_judged.has_listeners(sender):
        await credential_judged.asend_robust(sender, **_said(credential, source, judgement))


def _said(credential: str, source: str, judgement: Principal | Refused) -> dict[str, Any]:
    said = {"credential": credential, "source": source, "reason": "", "principal": None}
    match judgement:
        case Unavailable():
            return {**said, "outcome": "unavailable", "reason": judgement.reason}
        case Refused():
            return {**said, "outcome": "refused", "reason": judgement.reason}
        case _:
            return {**said, "outcome": "accepted", "principal": judgement}
