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
    BadValue,
    ClientError,
    InsecureUrl,
    KeyNotFound,
    KeyRefused,
    LoginDenied,
    LoginExpired,
    LoginTimedOut,
    NotAllowed,
    NotLoggedIn,
    SecretLost,
    StoreError,
    Unreachable,
)
from pikku_auth.client.http import Session
from pikku_auth.client.introspect import Introspection, Introspector
from pikku_auth.client.key_records import IssuedKey, Key
from pikku_auth.client.keys import Keys
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate

__all__ = [
    "BadAnswer",
    "BadKey",
    "BadToken",
    "BadUrl",
    "BadValue",
    "ClientError",
    "Delegation",
    "InsecureUrl",
    "Introspection",
    "Introspector",
    "IssuedKey",
    "Key",
    "KeyNotFound",
    "KeyRefused",
    "Keys",
    "LoginDenied",
    "LoginExpired",
    "LoginTimedOut",
    "NotAllowed",
    "NotLoggedIn",
    "PikkuAuth",
    "Rate",
    "SecretLost",
    "Session",
    "StoreError",
    "Unreachable",
    "websocket_headers",
]
