"""The example as it is shipped: with its mapping, two organisations and a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from example_project import settings as example
from example_project.sandboxes.models import Organisation, Sandbox
from pikku_auth.testing import client_with_key
from tests.conftest import pikku_settings

SCOPES = ["sandbox:read", "sandbox:write"]


@pytest.fixture(autouse=True)
def _mapped_as_shipped() -> Iterator[None]:
    with pikku_settings(MAP_KEY=example.PIKKU_AUTH["MAP_KEY"]):
        yield


@pytest.fixture
def acme(db: None) -> Organisation:
    return Organisation.objects.create(name="acme")


@pytest.fixture
def globex(db: None) -> Organisation:
    return Organisation.objects.create(name="globex")


@pytest.fixture
def make_sandbox(make_user: Callable[..., Any]) -> Callable[..., Sandbox]:
    """Make a running sandbox of an organisation."""
    maker = make_user("maker")

    def make(organisation: Organisation, name: str = "mine") -> Sandbox:
        return Sandbox.objects.create(name=name, organisation=organisation, created_by=maker)

    return make


@pytest.fixture
def sandbox(acme: Organisation, make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox of acme's."""
    return make_sandbox(acme)


@pytest.fixture
def its_key(sandbox: Sandbox) -> Any:
    """A client with the key of that sandbox."""
    return client_with_key(SCOPES, metadata={"sandbox": sandbox.pk})


@pytest.fixture
def operator(db: None) -> Any:
    """A client with a key that is no sandbox's."""
    return client_with_key(SCOPES, service="orchestrator", metadata={"team": "platform"})
