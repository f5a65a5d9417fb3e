"""The channel layer that the servers and the tests share."""

from __future__ import annotations

import os
from typing import Any


def layers_of(database: str) -> dict[str, Any]:
    """``CHANNEL_LAYERS`` of all who work on that database."""
    # redis-py 8 gives up a blocking read after 5 seconds otherwise.
    host = {"address": os.environ["REDIS_URL"], "socket_timeout": None}
    return {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [host], "prefix": database},
        }
    }
