"""What we keep in a connection's scope."""

from __future__ import annotations

from typing import Any

Scope = dict[str, Any]

REQUEST = "pikku_auth.request"
"""The handshake's request."""

WANTED = "pikku_auth.scopes"
"""The scopes that the middlewares around the consumer want, of the outer one and of inner ones."""
