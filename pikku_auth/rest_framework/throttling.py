"""Throttles for load, by key and by service user.

DRF reads and then sets its counters, so under concurrency they let a few calls too many
through. Where the number matters, give the key a rate limit or a quota instead.
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from pikku_auth.flows.database import place_of
from pikku_auth.models import APIKey
from pikku_auth.principal import Principal


class KeyRateThrottle(SimpleRateThrottle):
    """``DEFAULT_THROTTLE_RATES["api_key"]`` for each key; other callers pass."""

    scope = "api_key"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """A bucket named by the key's id and database, never by anything of the key."""
        key = _key_of(request)
        return self._bucket(key, key.pk) if key else None

    def _bucket(self, key: APIKey, pk: int) -> str:
        return self.cache_format % {"scope": self.scope, "ident": f"{place_of(key)}.{pk}"}


class ServiceUserRateThrottle(KeyRateThrottle):
    """``DEFAULT_THROTTLE_RATES["service_user"]`` for all keys of a service user together.

    Rotating a key doesn't empty the bucket.
    """

    scope = "service_user"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """A bucket named by the service user's id."""
        key = _key_of(request)
        return self._bucket(key, key.service_user_id) if key else None


def _key_of(request: Request) -> APIKey | None:
    return request.auth.key if isinstance(request.auth, Principal) else None
