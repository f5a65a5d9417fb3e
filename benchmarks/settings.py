"""The example project, with the packages that it is measured beside."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, INSTALLED_APPS

DEBUG = False
INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework.authtoken", "knox", "rest_framework_api_key"]

_name = f"test_pikku_benchmark_{os.getpid()}"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    _name = str(Path(tempfile.gettempdir()) / f"{_name}.sqlite3")
DATABASES["default"] |= {"TEST": {"NAME": _name}, "CONN_MAX_AGE": None}

# Refusals are part of the measuring here.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"pikku_auth": {"level": "ERROR"}},
}

# The peers have no such function that they ask with each request.
PIKKU_AUTH = {"SCOPES": {"sandbox": ["read", "write"]}}
