"""The example behind real ASGI servers, on the tests' own database and a real Redis."""

from __future__ import annotations

import os

from example_project.settings import *  # noqa: F403
from example_project.settings import DATABASES, PIKKU_AUTH
from tests.live.layers import layers_of

DATABASES["default"]["NAME"] = os.environ["LIVE_DATABASE"]
ASGI_APPLICATION = "tests.live.asgi.application"
CHANNEL_LAYERS = layers_of(os.environ["LIVE_DATABASE"])
PIKKU_AUTH = {**PIKKU_AUTH, "LOGIN_SCOPES": ["*"]}
