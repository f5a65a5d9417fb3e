"""An orchestrator, whose key manages those of ``sandbox-runtime``, and a human who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from pikku_auth.flows import Delegation, IssuedKey, create_service_user, mint_key
from pikku_auth.models import ServiceUser
from tests.over_the_wire import EVERY_ACT, Caller, machine


@pytest.fixture
def orchestrate(service_user: ServiceUser) -> Callable[..., IssuedKey]:
    """Mint a key of ``orchestrator`` that manages keys of its own and of ``sandbox-runtime``."""

    def mint(scopes: Any = (*EVERY_ACT, "sandbox:*"), **options: Any) -> IssuedKey:
        rows = ServiceUser.objects.filter(name="orchestrator")
        owner = rows.first() or create_service_user("orchestrator")
        delegation = options.pop("delegation", Delegation([service_user.name]))
        return mint_key(owner, scopes=scopes, delegation=delegation, **options)

    return mint


@pytest.fixture
def orchestrator(orchestrate: Callable[..., IssuedKey]) -> Caller:
    return machine(orchestrate())


@pytest.fixture
def keeper(make_user: Any, service_user: ServiceUser) -> Any:
    """A human with the permissions of this app."""
    user = make_user("grace")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="pikku_auth"))
    return user
