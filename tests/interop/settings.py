"""The example project, for clients that it knows by name."""

from __future__ import annotations

from example_project.settings import *  # noqa: F403
from example_project.settings import PIKKU_AUTH

PIKKU_AUTH = {
    **PIKKU_AUTH,
    "DEVICE_CLIENT_IDS": ["pikku-cli", "better-auth-js"],
    "LOGIN_SCOPES": ["*", "auth:mint", "auth:read", "auth:revoke"],
}
