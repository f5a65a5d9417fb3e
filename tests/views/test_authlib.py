"""Authlib, an OAuth client that knows nothing of us, with a live server of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from pikku_auth.core.delegation import Delegation
from pikku_auth.flows import IssuedKey, create_service_user, mint_key
from pikku_auth.flows.device_flow import approve, claim, look_up
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.processes import PATIENCE

requests_client = pytest.importorskip("authlib.integrations.requests_client")
base_client = pytest.importorskip("authlib.integrations.base_client")
rfc8414 = pytest.importorskip("authlib.oauth2.rfc8414")

pytestmark = pytest.mark.django_db(transaction=True)

CLIENT = "authlib"
ISSUER = "https://app.example.com"


@pytest.fixture(autouse=True)
def _with_metadata(settings: Settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.views.with_well_known"
    with pikku_settings(ISSUER=ISSUER):
        yield


@pytest.fixture
def session() -> Iterator[Any]:
    with requests_client.OAuth2Session(CLIENT, default_timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def metadata(session: Any, live_server: Any) -> dict[str, Any]:
    """What the server tells of itself; its name is not that of the test's server."""
    address = f"{live_server.url}/.well-known/oauth-authorization-server"
    told: dict[str, Any] = session.get(address, withhold_token=True).json()
    return {
        name: value.replace(ISSUER, live_server.url) if name.endswith("_endpoint") else value
        for name, value in told.items()
    }


def test_metadata_is_valid(session: Any, live_server: Any) -> None:
    address = f"{live_server.url}/.well-known/oauth-authorization-server"
    told = rfc8414.AuthorizationServerMetadata(session.get(address, withhold_token=True).json())
    for name in told.REGISTRY_KEYS:
        # Authlib wants a response type, of which a server without an authorization endpoint
        # has none.
        if name != "response_types_supported":
            getattr(told, f"validate_{name}")()
    assert set(told) <= {*told.REGISTRY_KEYS, "device_authorization_endpoint"}


def logged_in(session: Any, metadata: dict[str, Any], user: Any) -> dict[str, Any]:
    """What the device gets once ``user`` has approved."""
    codes = session.post(
        metadata["device_authorization_endpoint"],
        data={"client_id": CLIENT, "scope": "sandbox:read"},
        withhold_token=True,
    ).json()
    device = {"grant_type": metadata["grant_types_supported"][0]}
    device |= {"device_code": codes["device_code"]}
    with pytest.raises(base_client.OAuthError, match="authorization_pending"):
        session.fetch_token(metadata["token_endpoint"], **device)
    code = look_up(codes["user_code"], user=user)
    claim(code, user)
    approve(code, user)
    code.refresh_from_db()
    type(code).objects.update(last_polled_at=None)  # nobody waits here for the interval
    token: dict[str, Any] = session.fetch_token(metadata["token_endpoint"], **device)
    return token


def test_login_is_introspected_and_revoked(
    session: Any, metadata: dict[str, Any], live_server: Any, make_user: Callable[..., Any]
) -> None:
    ada = make_user("ada")
    token = logged_in(session, metadata, ada)
    assert token["token_type"] == "Bearer"  # no secret
    assert session.get(f"{live_server.url}/auth/whoami").json()["scopes"] == ["sandbox:read"]
    gateway = mint_key(create_service_user("gateway"), scopes=["auth:introspect_logins"])

    def introspected() -> dict[str, Any]:
        told: dict[str, Any] = session.introspect_token(
            metadata["introspection_endpoint"],
            token=token["access_token"],
            token_type_hint="access_token",  # no secret
            headers=key_headers(gateway),
        ).json()
        return told

    told = introspected()
    assert (told["active"], told["scope"], told["iss"]) == (True, "sandbox:read", ISSUER)
    assert (told["client_id"], told["sub"]) == (CLIENT, str(ada.pk))
    answer = session.revoke_token(
        metadata["revocation_endpoint"],
        token=token["access_token"],
        token_type_hint="access_token",  # no secret
    )
    assert answer.status_code == 200
    assert introspected() == {"active": False}
    assert session.get(f"{live_server.url}/auth/whoami").status_code == 401


def test_key_is_introspected_and_revoked(
    session: Any, metadata: dict[str, Any], mint: Callable[..., IssuedKey]
) -> None:
    issued = mint(scopes=["sandbox:read"])
    gateway = mint_key(
        create_service_user("gateway"),
        scopes=["auth:introspect"],
        delegation=Delegation(("sandbox-runtime",)),
    )
    secret, headers = issued.secret.reveal(), key_headers(gateway)

    def is_active() -> bool:
        address = metadata["introspection_endpoint"]
        told = session.introspect_token(address, token=secret, headers=dict(headers)).json()
        return bool(told["active"])

    assert is_active()
    assert session.revoke_token(metadata["revocation_endpoint"], token=secret).status_code == 200
    assert not is_active()
