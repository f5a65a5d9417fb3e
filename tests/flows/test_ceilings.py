"""The ceiling of a service user: the most that its keys may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory

from pikku_auth import signals
from pikku_auth.exceptions import InsufficientScope, InvalidInput
from pikku_auth.flows import (
    IssuedKey,
    authenticate,
    create_service_user,
    revalidate,
    rotate_key,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.flows.ceilings import require_grantable
from pikku_auth.models import AuditEvent, ServiceUser
from pikku_auth.principal import Mapped
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]

CUTS: list[tuple[list[str], list[str] | None, list[str]]] = [
    (["sandbox:*"], ["sandbox:read"], ["sandbox:read"]),
    (["sandbox:read"], ["sandbox:*"], ["sandbox:read"]),
    (["*"], ["perm:auth.view_group", "sandbox:read"], ["perm:auth.view_group", "sandbox:read"]),
    (["perm:*"], ["perm:auth.view_group"], ["perm:auth.view_group"]),
    (["sandbox:read", "sandbox:write"], ["sandbox:read"], ["sandbox:read"]),
    (["sandbox:read"], ["perm:*"], []),
    (["sandbox:read"], [], []),
    (["*"], [], []),
    (["*"], ["*"], ["*"]),
    (["sandbox:read"], None, ["sandbox:read"]),
]


@pytest.mark.parametrize(("minted", "ceiling", "allowed"), CUTS)
def test_a_key_may_do_what_it_and_the_ceiling_allow(
    service_user: ServiceUser, mint: Mint, minted: list[str], ceiling: Any, allowed: list[str]
) -> None:
    issued = mint(scopes=minted)
    set_service_user_scopes(service_user, ceiling)
    principal = verify_key(issued.secret.reveal())
    assert principal.scopes == allowed
    assert revalidate(principal, RequestFactory().get("/")).scopes == allowed
    key = rotate_key(issued.key).key
    assert (key.scopes, key.allowed_scopes) == (minted, allowed), "a rotation keeps its own"


def test_narrowing_narrows_every_key_at_once_and_widening_brings_it_back(
    service_user: ServiceUser, mint: Mint
) -> None:
    secrets = [mint(scopes=["sandbox:*"]).secret.reveal() for _ in range(2)]
    set_service_user_scopes(service_user, ["sandbox:read"])
    for secret in secrets:
        with pytest.raises(InsufficientScope):
            verify_key(secret, scopes=["sandbox:write"])
    set_service_user_scopes(service_user, None)
    assert verify_key(secrets[0], scopes=["sandbox:write"]).service_user == service_user


def test_the_ceiling_costs_no_query(
    service_user: ServiceUser, mint: Mint, django_assert_num_queries: Any
) -> None:
    secret = mint(scopes=["sandbox:*"]).secret.reveal()
    set_service_user_scopes(service_user, ["sandbox:read"])
    verify_key(secret)
    with django_assert_num_queries(1):
        verify_key(secret)


def test_it_is_set_when_the_service_user_is_made() -> None:
    create_service_user("builder", scopes=["sandbox:read", "sandbox:read"])
    assert ServiceUser.objects.get().scopes == ["sandbox:read"]
    assert create_service_user("painter").scopes is None


@pytest.mark.parametrize("scopes", [["sandbox"], ["unheard:of"], "sandbox:read"])
def test_one_that_is_malformed_or_unknown_is_refused(
    service_user: ServiceUser, scopes: Any
) -> None:
    with pytest.raises(InvalidInput):
        set_service_user_scopes(service_user, scopes)
    with pytest.raises(InvalidInput):
        create_service_user("builder", scopes=scopes)
    assert ServiceUser.objects.get().scopes is None


def test_setting_it_is_audited_and_announced_once(
    service_user: ServiceUser, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []

    def hear(**told: Any) -> None:
        heard.append((told["before"], told["service_user"].scopes))

    signals.service_user_scopes_set.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        assert set_service_user_scopes(service_user, ["sandbox:read"])
        assert not set_service_user_scopes(service_user, ["sandbox:read"])
    assert heard == [(None, ["sandbox:read"])]
    event = AuditEvent.objects.get(action="service_user_scopes_set")
    assert event.details == {"before": None, "scopes": ["sandbox:read"]}


NARROWINGS: list[tuple[Any, Any, bool]] = [
    (["sandbox:*"], ["sandbox:read"], True),
    (["sandbox:read"], [], True),
    (["sandbox:read"], ["sandbox:read"], True),
    (None, None, True),
    (["sandbox:read"], ["sandbox:*"], False),
    (["sandbox:read"], ["sandbox:read", "sandbox:write"], False),
    (["sandbox:read"], None, False),
    (None, [], False),
    ([], ["sandbox:read"], False),
]


@pytest.mark.parametrize(("before", "after", "allowed"), NARROWINGS)
def test_who_may_only_narrow_never_sets_widens_or_removes_one(
    service_user: ServiceUser, before: Any, after: Any, allowed: bool
) -> None:
    stale = ServiceUser.objects.get()
    set_service_user_scopes(service_user, before)
    if allowed:
        set_service_user_scopes(stale, after, narrow_only=True)
    else:
        with pytest.raises(InvalidInput, match="You may narrow a ceiling"):
            set_service_user_scopes(stale, after, narrow_only=True)
    assert ServiceUser.objects.get().scopes == (after if allowed else before)


GRANTS: list[tuple[Any, dict[str, list[str]], bool]] = [
    (None, {}, False),
    (None, {"sandbox": ["read"]}, False),
    (["sandbox:read"], {"sandbox": ["read"]}, True),
    (["sandbox:*"], {"sandbox": ["read"]}, True),
    (["sandbox:read"], {"sandbox": ["*"]}, False),
    (["sandbox:read"], {"*": ["*"]}, False),
    (["sandbox:read"], {"perm": ["auth.view_group"]}, False),
    ([], {}, True),
    ([], {"sandbox": ["read"]}, False),
]


@pytest.mark.parametrize(("ceiling", "asked", "allowed"), GRANTS)
def test_staff_give_what_the_ceiling_allows(
    service_user: ServiceUser,
    make_user: Any,
    ceiling: Any,
    asked: dict[str, list[str]],
    allowed: bool,
) -> None:
    set_service_user_scopes(service_user, ceiling)
    require_grantable(make_user("root", is_superuser=True), service_user, asked)
    staff = make_user("staff", is_staff=True)
    if allowed:
        require_grantable(staff, service_user, asked)
    else:
        with pytest.raises(InvalidInput, match="ceiling"):
            require_grantable(staff, service_user, asked)


def test_a_mapping_that_allows_all_of_a_keys_own_is_cut_and_no_error(
    service_user: ServiceUser, mint: Mint
) -> None:
    secret = mint(scopes=["sandbox:*"]).secret.reveal()
    set_service_user_scopes(service_user, ["sandbox:read"])
    request = RequestFactory().get("/", headers={"x-api-key": secret})
    with pikku_settings(MAP_KEY=f"{__name__}.all_of_the_keys_own"):
        principal = authenticate(request)
    assert principal is not None
    assert principal.scopes == ["sandbox:read"]


def all_of_the_keys_own(key: Any, request: Any) -> Mapped:
    return Mapped(scopes=key.permissions)
