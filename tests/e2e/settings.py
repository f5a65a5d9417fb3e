"""The example, on a host that lets no page run or style anything but its own files."""

from __future__ import annotations

from example_project.settings import *  # noqa: F403
from example_project.settings import MIDDLEWARE, PIKKU_AUTH

MIDDLEWARE = ["tests.e2e.policy.strict", *MIDDLEWARE]
PIKKU_AUTH = {**PIKKU_AUTH, "LOGIN_SCOPES": ["*", "auth:*"]}
