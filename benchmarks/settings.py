"""The example project, with the packages that it is measured beside."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, INSTALLED_APPS

DEBUG = False
ALLOWED_HOSTS = ["*"]
_PEERS = ["drf_scoped_permissions", "knox", "oauth2_provider", "rest_framework_api_key"]
INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework.authtoken", *filter(find_spec, _PEERS)]
if find_spec("django_tenant_apikeys"):
    INSTALLED_APPS.append("benchmarks")  # whose model is a key of that package
TENANT_API_KEY_MODEL = "benchmarks.TenantKey"
# Theirs are younger than this; what a renewal costs is not measured.
REST_KNOX = {"AUTO_REFRESH": False}
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(days=1)}  # longer than a run

# A server is a process beside the one that made the database.
_name = os.environ.get("BENCHMARK_DATABASE") or f"test_pikku_benchmark_{os.getpid()}"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    _name = str(Path(tempfile.gettempdir()) / f"{Path(_name).stem}.sqlite3")
DATABASES["default"] |= {"TEST": {"NAME": _name}, "CONN_MAX_AGE": None}
if "BENCHMARK_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = _name
_mode = os.environ.get("BENCHMARK_MODE")  # of a server
if _mode:
    ROOT_URLCONF, MIDDLEWARE = "benchmarks.urls", list[str]()
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # The example project lets psycopg prepare. Here that is a case of its own.
    DATABASES["default"]["OPTIONS"] = {"prepare_threshold": 5 if _mode == "prepared" else None}

# Refusals are part of the measuring here.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"pikku_auth": {"level": "ERROR"}},
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9"),
    }
}
_cache: Any = "default" if _mode == "cached" else None
# The peers have no such function as MAP_KEY, that they ask with each request.
PIKKU_AUTH = {
    "SCOPES": {"sandbox": ["read", "write"]},
    "LOGIN_SCOPES": ["sandbox:read"],
    "CACHE": _cache,
}
