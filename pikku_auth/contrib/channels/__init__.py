"""The integration with Channels: ``PikkuChannelsMiddleware`` around what Channels serves."""

from __future__ import annotations

from pikku_auth.contrib.channels.middleware import PikkuChannelsMiddleware
from pikku_auth.contrib.channels.open_sockets import revalidate

__all__ = ["PikkuChannelsMiddleware", "revalidate"]
