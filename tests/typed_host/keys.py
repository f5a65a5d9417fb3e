"""The flows, the hooks, the client and the helpers for tests, by documented names only."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import requests
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from rest_framework.test import APIClient

from pikku_auth.client import ClientError, Key, Keys, NotAllowed, PikkuAuth, Session
from pikku_auth.exceptions import Refused
from pikku_auth.flows import (
    IssuedKey,
    aauthenticate,
    authenticate,
    averify_key,
    create_service_user,
    mint_key,
    revoke_key,
    rotate_key,
    verify_key,
)
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from pikku_auth.principal import Mapped, Principal
from pikku_auth.testing import client_with_key, client_with_login, key_headers, mint_test_key


def a_keys_life(user: User) -> None:
    owner = create_service_user("robot", description="Runs", user=user)
    assert_type(owner, ServiceUser)
    issued = mint_key(
        owner,
        name="ci",
        scopes=["sandbox:read"],
        lifetime=timedelta(days=30),
        metadata={"sandbox_id": "sbx_42"},
    )
    assert_type(issued, IssuedKey)
    assert_type(issued.key, APIKey)
    assert_type(issued.secret.reveal(), str)
    successor = rotate_key(issued.key, overlap=timedelta(hours=1))
    assert_type(successor.key, APIKey)
    revoke_key(successor.key, reason="leaked")


def caller_of(text: str, address: str) -> str:
    try:
        principal = verify_key(text, scopes=["sandbox:read"], ip=address)
    except Refused as refusal:
        return f"{refusal.status} {refusal.code} {refusal}"
    assert_type(principal, Principal)
    assert_type(principal.user, User)
    return principal.user.email


async def callers_of(request: HttpRequest, text: str) -> list[Principal | None]:
    assert_type(authenticate(request), Principal | None)
    return [await aauthenticate(request), await averify_key(text)]


def map_key(key: APIKey, request: HttpRequest) -> Mapped | None:
    if key.service_user.name != "sandbox-runtime":
        return None
    return Mapped(claims={"sandbox": key.metadata["sandbox_id"]}, scopes=["sandbox:read"])


def map_login(login: LoginSession, request: HttpRequest) -> Mapped:
    return Mapped(claims={"who": login.user.get_username()})


def a_program() -> int:
    with Session() as session:
        session.get("/sandboxes/")
    try:
        auth = PikkuAuth("https://api.example.com", required=False)
        return requests.get("https://api.example.com/", auth=auth, timeout=10).status_code
    except ClientError as error:
        return len(str(error))


def an_orchestrator(sandbox_id: str) -> list[str]:
    keys = Keys("https://api.example.com")
    try:
        issued = keys.mint("robot", scopes=["sandbox:read"], lifetime=timedelta(hours=1))
    except NotAllowed as error:
        return [error.code]
    assert_type(issued.secret.reveal(), str)
    assert_type(issued.key, Key)
    assert_type(keys.rename(issued.key, sandbox_id), Key)
    keys.revoke(keys.rotate(issued.key, overlap=None).key)
    return [key.service_user for key in keys.list("robot", parent=issued.key)]


def test_a_reader_may_not_write(ada: User) -> None:
    client = client_with_key(["sandbox:read"], service="robot", lifetime=timedelta(hours=1))
    assert_type(client, APIClient)
    issued = mint_test_key(["sandbox:read"], name="ci")
    client.get("/", headers=key_headers(issued))
    assert_type(client_with_login(ada, client_class=Client), Client)
