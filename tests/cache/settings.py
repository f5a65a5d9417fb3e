"""Of a process beside the tests, on their database and their Redis."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# The tests' own, whichever they are: with another user model, say.
_theirs = import_module(os.environ["STORM_SETTINGS"])
globals().update({name: value for name, value in vars(_theirs).items() if name.isupper()})
DATABASES: dict[str, Any] = _theirs.DATABASES
DATABASES["default"]["NAME"] = os.environ["STORM_DATABASE"]
DATABASES["default"]["CONN_MAX_AGE"] = None
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["STORM_REDIS"],
    }
}
PIKKU_AUTH = {**_theirs.PIKKU_AUTH, "CACHE": "default"}
LOGGING = {
    "version": 1,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "root": {"handlers": ["nowhere"]},
}
