"""The other side of the wire: a human's login, and a credential on every request.

Needs ``requests`` and the standard library, and never Django.
"""

from __future__ import annotations

from pikku_auth.client.auth import PikkuAuth, websocket_headers
from pikku_auth.client.exceptions import (
    BadAnswer,
    BadKey,
    BadToken,
    BadUrl,
    ClientError,
    InsecureUrl,
    LoginDenied,
    LoginExpired,
    LoginTimedOut,
    NotLoggedIn,
    StoreError,
    Unreachable,
)
from pikku_auth.client.http import Session

__all__ = [
    "BadAnswer",
    "BadKey",
    "BadToken",
    "BadUrl",
    "ClientError",
    "InsecureUrl",
    "LoginDenied",
    "LoginExpired",
    "LoginTimedOut",
    "NotLoggedIn",
    "PikkuAuth",
    "Session",
    "StoreError",
    "Unreachable",
    "websocket_headers",
]
