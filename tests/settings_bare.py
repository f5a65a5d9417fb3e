"""A host in an environment that has nothing but what the package itself needs."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, REST_FRAMEWORK

OPTIONAL = ("drf_spectacular", "knox", "rest_framework_api_key")
INSTALLED_APPS = [name for name in INSTALLED_APPS if not name.startswith(OPTIONAL)]
REST_FRAMEWORK = {
    name: value for name, value in REST_FRAMEWORK.items() if name != "DEFAULT_SCHEMA_CLASS"
}
LOGIN_REDIRECT_URL = "whoami"
