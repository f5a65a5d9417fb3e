"""Keys that have minted others."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from pikku_auth.flows import IssuedKey, mint_key, verify_key
from pikku_auth.flows.keys.delegate import mint_child
from pikku_auth.models import APIKey, ServiceUser

SCOPES = ["auth:mint", "sandbox:read"]


def parent_of(service_user: ServiceUser, **options: Any) -> IssuedKey:
    """A key that mints keys."""
    return mint_key(service_user, **{"name": "orchestrator", "scopes": SCOPES, **options})


def child_of(
    parent: IssuedKey, owner: ServiceUser | None = None, *, ip: str | None = None, **options: Any
) -> IssuedKey:
    """A key that ``parent`` has minted, from the address ``ip``."""
    principal = verify_key(parent.secret.reveal(), ip=ip, now=options.get("now"))
    return mint_child(principal, owner or parent.key.service_user, **options)


def many_children(parent: APIKey, count: int) -> None:
    """Keys that nobody has the secrets of, made at once."""
    APIKey.objects.bulk_create(
        [
            APIKey(
                parent=parent,
                service_user=parent.service_user,
                name=f"child-{number}",
                preview="pka_x",
                digest=f"{parent.pk:032x}{number:032x}",
                created_at=timezone.now(),
            )
            for number in range(count)
        ],
        batch_size=1_000,
    )
