"""The integration with django-ninja: ``PikkuNinjaAPI(auth=PikkuNinjaAuth())``."""

from __future__ import annotations

from pikku_auth.contrib.ninja.api import PikkuNinjaAPI
from pikku_auth.contrib.ninja.auth import PikkuNinjaAuth, PrincipalRequest, RefusedByPikkuAuth

__all__ = ["PikkuNinjaAPI", "PikkuNinjaAuth", "PrincipalRequest", "RefusedByPikkuAuth"]
