"""What docs/introspection.md shows, run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client, override_settings

from pikku_auth.flows import IssuedKey, introspection, revoke_key
from pikku_auth.testing import key_headers
from tests.client.servers import unused_url
from tests.conftest import pikku_settings
from tests.docs.pages import examples, names_of, text_of

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def page(service_user: Any) -> dict[str, Any]:
    """What its examples define, with a key for the resource server."""
    return names_of("introspection.md")


def test_answer_has_the_members_that_are_shown(
    page: dict[str, Any], mint: Callable[..., IssuedKey]
) -> None:
    (shown,) = examples("introspection.md", "json")
    presented = mint(scopes=["sandbox:read", "sandbox:write"]).secret.reveal()
    with pikku_settings(ISSUER=page["PIKKU_AUTH"]["ISSUER"]):
        client = Client(headers=key_headers(page["issued"]))
        told = client.post("/auth/introspect", urlencode({"token": presented}), FORM).json()
    assert list(told) == list(json.loads(shown))
    same = ("active", "scope", "client_id", "token_type", "iss", "service_user")
    assert [told[name] for name in same] == [json.loads(shown)[name] for name in same]


def test_resource_server_answers_as_is_shown(
    page: dict[str, Any], mint: Callable[..., IssuedKey], live_server: Any
) -> None:
    introspector = page["introspector"](live_server.url, page["issued"].secret.reveal())
    good, other = mint(scopes=["sandbox:*"]), mint(scopes=["sandbox:write"])

    def status_for(issued: IssuedKey, asked: Any = introspector) -> int:
        status: int = page["status_for"](asked, issued.secret.reveal(), "192.0.2.7")
        return status

    assert (status_for(good), status_for(other)) == (200, 403)
    revoke_key(good.key)
    assert status_for(good) == 401
    away = page["introspector"](unused_url(), page["issued"].secret.reveal())
    assert status_for(good, away) == 503


def test_metadata_is_where_it_is_said_to_be(page: dict[str, Any]) -> None:
    with override_settings(ROOT_URLCONF=tuple(page["urlpatterns"])):
        issuer = page["PIKKU_AUTH"]["ISSUER"]
        with pikku_settings(ISSUER=issuer):
            told = Client().get("/.well-known/oauth-protected-resource").json()
        assert told["resource"] == issuer
        with pikku_settings(ISSUER=f"{issuer}/one"):
            assert Client().get("/.well-known/oauth-protected-resource/one").status_code == 200


def test_bound_is_what_the_code_has() -> None:
    rate = introspection.INACTIVE_ONES
    seconds = int(rate.period.total_seconds())
    assert f"more than {rate.count} in {seconds} seconds" in text_of("introspection.md")
