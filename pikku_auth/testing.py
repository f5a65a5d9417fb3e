"""For the host's own tests. Import it where tests are, nowhere else.

The keys made here are real ones: they go through the same verbs as in production.
"""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from pikku_auth.conf import conf
from pikku_auth.core.permissions import Grant
from pikku_auth.exceptions import UnknownServiceUser
from pikku_auth.flows import IssuedKey, create_service_user, get_service_user, mint_key

__all__ = ["client_with_key", "key_headers", "mint_test_key"]


def mint_test_key(
    scopes: Grant = (), *, service: str = "test-machine", **options: Any
) -> IssuedKey:
    """Mint a key with ``scopes``, making the service user ``service`` if need be.

    ``options`` are those of :func:`pikku_auth.flows.mint_key`.
    """
    try:
        owner = get_service_user(service)
    except UnknownServiceUser:
        owner = create_service_user(service)
    return mint_key(owner, scopes=scopes, **options)


def key_headers(issued: IssuedKey) -> dict[str, str]:
    """The headers that present the key: ``client.get(url, headers=key_headers(issued))``."""
    return {conf.key_header: issued.secret.reveal()}


def client_with_key(scopes: Grant = (), **options: Any) -> APIClient:
    """A DRF test client whose every request presents a new key with ``scopes``."""
    client = APIClient()
    client.credentials(**{conf.key_header_meta: mint_test_key(scopes, **options).secret.reveal()})
    return client
