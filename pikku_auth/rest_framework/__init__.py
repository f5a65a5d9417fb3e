"""The integration with Django REST framework."""

from __future__ import annotations

from pikku_auth.rest_framework.authentication import PikkuAuthentication
from pikku_auth.rest_framework.permissions import HasScope
from pikku_auth.rest_framework.throttling import KeyRateThrottle, ServiceUserRateThrottle

__all__ = ["HasScope", "KeyRateThrottle", "PikkuAuthentication", "ServiceUserRateThrottle"]
