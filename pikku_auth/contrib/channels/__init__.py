"""The integration with Channels: ``PikkuAuthMiddleware`` around what Channels serves."""

from __future__ import annotations

from pikku_auth.contrib.channels.middleware import PikkuAuthMiddleware
from pikku_auth.contrib.channels.open_sockets import revalidate

__all__ = ["PikkuAuthMiddleware", "revalidate"]
