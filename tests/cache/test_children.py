"""What is kept of a key that another has minted is good for nothing once that one changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pikku_auth.exceptions import InvalidKey, NetworkNotAllowed
from pikku_auth.flows import (
    Delegation,
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    mint_child,
    mint_key,
    revoke_key,
    rotate_key,
    set_key_bounds,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.cache.test_cache import call, statements, warm

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def inactive(parent: APIKey) -> None:
    """As the host does, without a word to us."""
    user: Any = parent.service_user.user
    user.is_active = False
    user.save()


ENDS: dict[str, Callable[[APIKey], object]] = {
    "revoked": revoke_key,
    "disabled": disable_key,
    "leaked": lambda key: rotate_key(key, overlap=None),
    "of a service user that is deactivated": lambda key: deactivate_service_user(key.service_user),
    "of a user that is inactive": inactive,
    "bound to other networks": lambda key: set_key_bounds(key, networks=["192.0.2.0/24"]),
}


@pytest.fixture
def parent(service_user: ServiceUser) -> IssuedKey:
    owner = create_service_user("orchestrator")
    scopes, delegation = ["auth:mint", "sandbox:*"], Delegation([service_user.name])
    return mint_key(owner, scopes=scopes, delegation=delegation)


@pytest.fixture
def child(parent: IssuedKey, service_user: ServiceUser) -> IssuedKey:
    caller = verify_key(parent.secret.reveal())
    return mint_child(caller, service_user, scopes=["sandbox:read"], lifetime=timedelta(days=1))


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_parent_that_is(
    parent: IssuedKey, child: IssuedKey, end: Callable[[APIKey], object]
) -> None:
    warm(child)
    end(parent.key)
    with pytest.raises((InvalidKey, NetworkNotAllowed)):
        call(child)


def test_a_parent_that_is_enabled_again(parent: IssuedKey, child: IssuedKey) -> None:
    disable_key(parent.key)
    with pytest.raises(InvalidKey):
        call(child)
    enable_key(parent.key)
    assert call(child).scopes == ["sandbox:read"]


def test_a_ceiling_of_the_parents_service_user(parent: IssuedKey, child: IssuedKey) -> None:
    warm(child)
    set_service_user_scopes(parent.key.service_user, ["auth:mint"])
    assert call(child).scopes == []


def test_the_successor_is_the_one_to_go_by_from_then_on(
    parent: IssuedKey, child: IssuedKey
) -> None:
    warm(child)
    successor = rotate_key(parent.key)
    warm(child)
    revoke_key(successor.key)
    with pytest.raises(InvalidKey):
        call(child)


def test_another_key_of_the_orchestrator_changes_nothing(
    parent: IssuedKey, child: IssuedKey
) -> None:
    warm(child)
    revoke_key(mint_key(parent.key.service_user).key)
    assert statements(child) == []
