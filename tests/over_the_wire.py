"""Callers of the endpoints for keys."""

from __future__ import annotations

from typing import Any

from django.test import Client

from pikku_auth.flows import IssuedKey
from tests.openapi import must_be_described

RECORD = [
    "configId",
    "name",
    "start",
    "referenceId",
    "prefix",
    "refillInterval",
    "refillAmount",
    "lastRefillAt",
    "enabled",
    "rateLimitEnabled",
    "rateLimitTimeWindow",
    "rateLimitMax",
    "requestCount",
    "remaining",
    "lastRequest",
    "expiresAt",
    "createdAt",
    "updatedAt",
    "permissions",
    "metadata",
    "id",
    "state",
    "scopes",
    "networks",
    "parentId",
    "rotatedFrom",
    "revokedAt",
    "delegation",
]
EVERY_ACT = ["auth:mint", "auth:read", "auth:revoke", "auth:rotate"]
CREATE = {"organizationId": "sandbox-runtime"}


class Caller:
    """Somebody who calls these endpoints. Each answer is one that the OpenAPI document has."""

    def __init__(self, client: Client | None = None, **headers: str) -> None:
        self.client, self.headers = client or Client(), headers

    def post(self, path: str, headers: dict[str, str] | None = None, /, **members: Any) -> Any:
        answer = self.client.post(
            f"/auth/api-key/{path}",
            members,
            content_type="application/json",
            headers={**self.headers, **(headers or {})},
        )
        must_be_described(f"POST api-key/{path}", answer)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(f"/auth/api-key/{path}", query, headers=self.headers)
        must_be_described(f"GET api-key/{path}", answer)
        return answer


def machine(issued: IssuedKey) -> Caller:
    """A machine with that key."""
    return Caller(**{"x-api-key": issued.secret.reveal()})


def minted(caller: Caller, **members: Any) -> dict[str, Any]:
    """The record of a new key of ``sandbox-runtime``."""
    answer = caller.post("create", **CREATE | members)
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def said(answer: Any) -> tuple[int, str]:
    """The status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]


def works(secret: str) -> bool:
    """Whether the next request with that key gets in."""
    return Client().get("/auth/whoami", headers={"x-api-key": secret}).status_code == 200
