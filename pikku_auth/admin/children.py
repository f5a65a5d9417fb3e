"""The keys that a key has minted, as far as staff are told of them."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.family import may_have_children
from pikku_auth.models import APIKey
from pikku_auth.models.keys import APIKeyQuerySet


def alive_children(keys: Sequence[APIKey]) -> APIKeyQuerySet:
    """What ``keys`` have minted that is neither revoked nor expired, nor one of them."""
    everyone: APIKeyQuerySet = APIKey.objects.using(primary())
    parents = [key.pk for key in keys if may_have_children(key)]
    if not parents:
        return everyone.none()
    children = everyone.alive(timezone.now()).filter(parent__in=parents)
    return children.exclude(pk__in=[key.pk for key in keys]).order_by("pk")


def to_stop(keys: Sequence[APIKey]) -> APIKeyQuerySet:
    """Those that stop when ``keys`` are disabled."""
    return alive_children(keys).filter(enabled=True, is_suspended=False)


def to_go_on(keys: Sequence[APIKey]) -> APIKeyQuerySet:
    """Those that go on when ``keys`` are enabled."""
    usable = [key for key in keys if key.service_user.is_usable]
    return alive_children(usable).filter(is_suspended=True)
