"""The integration with django-ninja: ``PikkuNinjaAPI(auth=PikkuAuth())``."""

from __future__ import annotations

from pikku_auth.contrib.ninja.api import PikkuNinjaAPI
from pikku_auth.contrib.ninja.auth import PikkuAuth, PrincipalRequest, RefusedByPikkuAuth

__all__ = ["PikkuAuth", "PikkuNinjaAPI", "PrincipalRequest", "RefusedByPikkuAuth"]
