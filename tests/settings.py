"""A host for the tests: the example project, with what else a host may have."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, INSTALLED_APPS, PIKKU_AUTH

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "rest_framework.authtoken",
    "knox",
    "rest_framework_api_key",
]
ROOT_URLCONF = "tests.urls"
# The example's own tests ask its functions; the package's say what they ask.
PIKKU_AUTH = {**PIKKU_AUTH, "MAP_KEY": None, "LOGIN_SCOPES": ["*"]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# A database a run, so that runs side by side don't meet.
_test_name = f"test_pikku_{os.getpid()}"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # pragma: no branch
    # A file, because threads and processes share it; the default journal, because it locks more.
    # A power failure may have it.
    DATABASES["default"]["OPTIONS"] = {"timeout": 30, "init_command": "PRAGMA synchronous = OFF"}
    _test_name = str(Path(tempfile.gettempdir()) / f"{_test_name}.sqlite3")
DATABASES["default"]["TEST"] = {"NAME": _test_name}
