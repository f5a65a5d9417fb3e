"""What docs/mapping.md shows, as a host's ``MAP_KEY``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from django.test import RequestFactory

from example_project.sandboxes import models
from example_project.sandboxes.models import Organisation, Sandbox, Status
from pikku_auth.exceptions import InvalidKey
from pikku_auth.flows import IssuedKey, authenticate
from pikku_auth.principal import Principal
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.docs.pages import names_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _myproject(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host of the page, whose models are the example's."""
    mapping = ModuleType("myproject.mapping")
    monkeypatch.setitem(sys.modules, "myproject", ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.models", models)
    monkeypatch.setitem(sys.modules, "myproject.mapping", mapping)
    vars(mapping).update(names_of("mapping.md"))
    with pikku_settings(**vars(mapping)["PIKKU_AUTH"]):
        yield


@pytest.fixture
def sandbox(mint: Mint) -> Sandbox:
    return Sandbox.objects.create(
        name="b2f7",
        organisation=Organisation.objects.create(name="acme"),
        created_by=mint().key.service_user.user,
    )


def caller(issued: IssuedKey) -> Principal:
    principal = authenticate(RequestFactory().get("/", headers=key_headers(issued)))
    assert principal
    return principal


def test_a_key_without_a_sandbox_is_as_it_was_minted(mint: Mint) -> None:
    principal = caller(mint(scopes=["sandbox:write"]))
    assert (principal.claims, principal.scopes) == ({}, ["sandbox:write"])


@pytest.mark.parametrize("scopes", [[], ["sandbox:write"], ["*"]])
def test_a_sandboxes_key_says_whose_it_is_and_keeps_its_scopes(
    mint: Mint, sandbox: Sandbox, scopes: list[str]
) -> None:
    principal = caller(mint(scopes=scopes, metadata={"sandbox": sandbox.pk}))
    assert (principal.claims, principal.scopes) == ({"sandbox": sandbox.pk}, scopes)


def test_it_is_refused_while_the_sandbox_is_stopped_or_gone(mint: Mint, sandbox: Sandbox) -> None:
    issued = mint(metadata={"sandbox": sandbox.pk})
    Sandbox.objects.update(status=Status.STOPPED)
    with pytest.raises(InvalidKey):
        caller(issued)
    Sandbox.objects.update(status=Status.RUNNING)
    assert caller(issued).claims
    sandbox.delete()
    with pytest.raises(InvalidKey):
        caller(issued)


@pytest.mark.parametrize(
    ("scopes", "left"),
    [
        (["sandbox:read", "sandbox:write"], ["sandbox:read"]),
        (["sandbox:write"], []),
        (["*"], []),
    ],
)
def test_narrowing_leaves_some_of_the_scopes_that_the_key_has(
    mint: Mint, scopes: list[str], left: list[str]
) -> None:
    with pikku_settings(MAP_KEY="myproject.mapping.only_read"):
        assert caller(mint(scopes=scopes)).scopes == left
