"""Of a process beside the tests, on their database and their Redis."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, PIKKU_AUTH

DATABASES["default"]["NAME"] = os.environ["STORM_DATABASE"]
DATABASES["default"]["CONN_MAX_AGE"] = None
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["STORM_REDIS"],
    }
}
PIKKU_AUTH = {**PIKKU_AUTH, "CACHE": "default"}
LOGGING = {
    "version": 1,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
}
