"""An orchestrator mints keys for its sandboxes: no more than it has, and they stop with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from pikku_auth.core.limits import Rate
from pikku_auth.flows import (
    Delegation,
    IssuedKey,
    children_of,
    create_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    revoke_key,
    rotate_key,
)
from pikku_auth.flows.throttling import KEYS_MANAGED
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.over_the_wire import EVERY_ACT, RECORD, Caller, machine, minted, said, works

pytestmark = pytest.mark.django_db


class TestAMachineMints:
    """An orchestrator's key makes a key for a sandbox."""

    def test_a_key_of_the_service_user_that_it_names(self, orchestrator: Caller) -> None:
        told = minted(orchestrator, name="box 7", permissions={"sandbox": ["read"]})
        assert [name for name in told if name != "key"] == RECORD
        assert [*told].index("key") == 5
        row = APIKey.objects.get(pk=told["id"])
        assert (row.service_user.name, row.name, row.scopes) == (
            "sandbox-runtime",
            "box 7",
            ["sandbox:read"],
        )
        assert told["key"].startswith("pka_")
        assert works(told["key"])
        assert told["parentId"] == str(row.parent_id)

    def test_its_own_service_user_is_the_default(self, orchestrator: Caller) -> None:
        assert orchestrator.post("create").json()["referenceId"] == "orchestrator"

    def test_the_answer_is_not_stored(self, orchestrator: Caller) -> None:
        assert orchestrator.post("create")["Cache-Control"] == "no-store"

    def test_the_record_names_the_key_that_has_minted_it(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        parent = orchestrate()
        told = minted(machine(parent))
        event = AuditEvent.objects.get(key_id=told["id"])
        assert (event.action, event.source) == ("key_minted", "http")
        assert event.details["parent"] == parent.key.pk
        assert event.actor_name == f"orchestrator, key {parent.key}"

    @pytest.mark.parametrize(
        ("scopes", "status"),
        [(["auth:mint"], 200), (["auth:*"], 200), (["*"], 403), (["auth:read"], 403)],
    )
    def test_only_a_scope_that_names_it_lets_it(
        self, orchestrate: Callable[..., IssuedKey], scopes: list[str], status: int
    ) -> None:
        delegation = None if scopes == ["*"] else Delegation()
        answer = machine(orchestrate(scopes, delegation=delegation)).post("create")
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["code"] == "INSUFFICIENT_API_KEY_PERMISSIONS"
            assert 'scope="auth:mint"' in answer["WWW-Authenticate"]

    @pytest.mark.parametrize("name", ["billing", "nobody"])
    def test_no_other_service_user_exists_for_it(self, orchestrator: Caller, name: str) -> None:
        create_service_user("billing")
        answer = orchestrator.post("create", organizationId=name)
        assert said(answer) == (403, "USER_NOT_MEMBER_OF_ORGANIZATION")

    def test_no_more_are_alive_than_it_may_have(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        caller = machine(orchestrate(delegation=Delegation(["sandbox-runtime"], most=2)))
        first, _ = minted(caller), minted(caller)
        answer = caller.post("create")
        assert said(answer) == (403, "KEY_LIMIT_REACHED")
        caller.post("delete", keyId=first["id"])
        assert minted(caller)

    def test_not_too_many_in_a_while(
        self, orchestrator: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few = Rate(1, KEYS_MANAGED.period)
        monkeypatch.setattr("pikku_auth.flows.keys.managers.KEYS_MANAGED", few)
        minted(orchestrator)
        answer = orchestrator.post("create")
        assert said(answer) == (429, "RATE_LIMITED")
        assert answer.json()["details"]["tryAgainIn"] == 1000 * int(answer["Retry-After"])


class TestItGivesNoMoreThanItHas:
    """Attenuation: each way of asking for more is refused, and named."""

    @pytest.mark.parametrize(
        ("parent", "members", "field", "named"),
        [
            (
                {"scopes": ["auth:mint", "sandbox:read"]},
                {"permissions": {"sandbox": ["read", "write"]}},
                "permissions",
                "sandbox:write",
            ),
            ({}, {"permissions": {"*": ["*"]}}, "permissions", "*"),
            ({}, {"permissions": {"auth": ["read"]}}, "permissions", "auth"),
            ({}, {"permissions": {"perm": ["a.view_b"]}}, "permissions", "perm:a.view_b"),
            ({"lifetime": 3600}, {"expiresIn": 3601}, "expiresIn", "2"),
            ({"lifetime": 3600}, {"expiresIn": None}, "expiresIn", "2"),
            ({"networks": ["127.0.0.0/8"]}, {"networks": ["::/0"]}, "networks", "127.0.0.0/8"),
            (
                {"rate": Rate(10, 60)},
                {"rateLimitMax": 11, "rateLimitTimeWindow": 60_000},
                "rateLimitMax",
                "10/m",
            ),
            ({"rate": Rate(10, 60)}, {"rateLimitEnabled": False}, "rateLimitMax", "10/m"),
            ({"quota": 9}, {"remaining": 9}, "remaining", "8"),
            ({"quota": 9}, {"remaining": None}, "remaining", "8"),
            (
                {"quota": 9},
                {"remaining": 5, "refillAmount": 5, "refillInterval": 60_000},
                "refillAmount",
                "none",
            ),
            ({}, {"metadata": {"tenant": 1}}, "metadata", "tenant"),
            ({"metadata": {"tenant": 1}}, {"metadata": {"tenant": 2}}, "metadata", "tenant"),
            ({"metadata": {"tenant": 1}}, {"metadata": {"tenant": True}}, "metadata", "tenant"),
            ({"metadata": {"a": {"b": [1]}}}, {"metadata": {"a": {"b": [1.0]}}}, "metadata", "a"),
            ({}, {"delegation": {"maxKeys": 1}}, "delegation", "makes none"),
        ],
    )
    def test_more_is_refused_and_named(
        self,
        orchestrate: Callable[..., IssuedKey],
        parent: dict[str, Any],
        members: dict[str, Any],
        field: str,
        named: str,
    ) -> None:
        answer = machine(orchestrate(**parent)).post(
            "create", organizationId="sandbox-runtime", **members
        )
        told = answer.json()
        assert (answer.status_code, told["code"], told["field"]) == (403, "EXCEEDS_PARENT", field)
        assert named in told["message"]
        assert not APIKey.objects.filter(parent__isnull=False).exists()

    def test_the_ceiling_of_the_owner_holds_too(self, orchestrator: Caller) -> None:
        ServiceUser.objects.filter(name="sandbox-runtime").update(scopes=["sandbox:read"])
        answer = orchestrator.post(
            "create", organizationId="sandbox-runtime", permissions={"sandbox": ["write"]}
        )
        assert answer.status_code == 400
        assert "sandbox:write" in answer.json()["message"]

    def test_what_is_left_out_is_as_the_parent_has_it(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        parent = orchestrate(
            lifetime=3600,
            networks=["127.0.0.0/8"],
            rate=Rate(10, 60),
            quota=9,
            refill=Rate(9, 3600),
            metadata={"tenant": 1},
        )
        told = minted(machine(parent))
        assert told["metadata"] == {"tenant": 1}
        assert (told["rateLimitMax"], told["rateLimitTimeWindow"]) == (10, 60_000)
        assert (told["remaining"], told["refillAmount"], told["refillInterval"]) == (
            9,
            9,
            3_600_000,
        )
        end = datetime.fromisoformat(told["expiresAt"])
        assert abs(end - parent.key.expires_at) < timedelta(seconds=1)  # type: ignore[operator]
        assert told["permissions"] == {}
        row = APIKey.objects.get(pk=told["id"])
        assert row.parent_networks == ["127.0.0.0/8"]

    def test_metadata_is_added_under_the_names_that_it_lists(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        delegation = Delegation(["sandbox-runtime"], metadata=["sandbox"])
        parent = orchestrate(delegation=delegation, metadata={"tenant": 1})
        told = minted(machine(parent), metadata={"sandbox": 7})
        assert told["metadata"] == {"tenant": 1, "sandbox": 7}

    def test_a_permission_of_django_that_it_lacks(
        self, orchestrate: Callable[..., IssuedKey], service_user: ServiceUser
    ) -> None:
        owner: Any = service_user.user
        owner.user_permissions.add(Permission.objects.get(codename="view_session"))
        caller = machine(orchestrate([*EVERY_ACT, "perm:*"]))
        answer = caller.post(
            "create",
            organizationId="sandbox-runtime",
            permissions={"perm": ["sessions.view_session"]},
        )
        assert answer.status_code == 403
        assert "sessions.view_session" in answer.json()["message"]
        assert minted(caller, permissions={"perm": ["sessions.add_session"]})


class TestChildrenFollow:
    """What is done to the parent, is done to them."""

    def family(self, orchestrate: Callable[..., IssuedKey]) -> tuple[IssuedKey, str]:
        parent = orchestrate()
        return parent, minted(machine(parent), permissions={"sandbox": ["read"]})["key"]

    def test_revoking(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        revoke_key(parent.key)
        assert not works(child)

    def test_disabling_and_enabling(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        disable_key(parent.key)
        assert not works(child)
        enable_key(parent.key)
        assert works(child)

    def test_deactivating_its_service_user(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        deactivate_service_user(parent.key.service_user)
        assert not works(child)

    def test_rotating_keeps_them(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        successor = rotate_key(parent.key)
        assert works(child)
        revoke_key(successor.key)
        assert not works(child)

    def test_a_leak_revokes_them(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        rotate_key(parent.key, overlap=None)
        assert not works(child)

    def test_unless_told_otherwise(self, orchestrate: Callable[..., IssuedKey]) -> None:
        parent, child = self.family(orchestrate)
        successor = rotate_key(parent.key, overlap=None, keep_children=True)
        assert works(child)
        assert [key.parent_id for key in children_of(successor.key)] == [successor.key.pk]
