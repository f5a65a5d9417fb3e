"""Managing keys over HTTP: by a machine, by a human, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from pikku_auth.core.limits import Rate
from pikku_auth.flows import Delegation, IssuedKey, create_service_user, disable_key, mint_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser, UsedRequest
from tests.conftest import pikku_settings
from tests.docs.test_http_api import outage
from tests.logins import OWN_ORIGIN, bearer, browser_of, logged_in
from tests.over_the_wire import CREATE, EVERY_ACT, Caller, machine, minted, said, works

pytestmark = pytest.mark.django_db


class TestAMachineLooksAfterKeys:
    """Reading, changing, rotating and revoking those of the service users that it acts for."""

    def test_it_reads_a_key(self, orchestrator: Caller) -> None:
        told = minted(orchestrator)
        secret = told.pop("key")
        answer = orchestrator.get("get", id=told["id"])
        assert answer.json() == told
        assert secret not in answer.content.decode()

    def test_it_lists_those_of_one_service_user(self, orchestrator: Caller) -> None:
        told = [minted(orchestrator)["id"] for _ in range(3)]
        listed = orchestrator.get("list", **CREATE, limit=2, offset=1).json()
        assert [key["id"] for key in listed["apiKeys"]] == told[1:]
        assert (listed["total"], listed["limit"], listed["offset"]) == (3, 2, 1)

    def test_its_own_are_the_default(self, orchestrator: Caller) -> None:
        minted(orchestrator)
        listed = orchestrator.get("list").json()
        assert {key["referenceId"] for key in listed["apiKeys"]} == {"orchestrator"}
        assert "limit" not in listed

    def test_it_lists_those_that_a_key_has_minted(
        self, orchestrate: Callable[..., IssuedKey], mint: Callable[..., IssuedKey]
    ) -> None:
        parent, _other = orchestrate(), mint()
        told = minted(machine(parent))
        listed = machine(parent).get("list", **CREATE, parentId=parent.key.pk).json()
        assert [key["id"] for key in listed["apiKeys"]] == [told["id"]]

    @pytest.mark.parametrize(
        ("query", "order"),
        [
            ({"sortBy": "name"}, "abc"),
            ({"sortBy": "name", "sortDirection": "desc"}, "cba"),
            ({"sortBy": "createdAt"}, "bca"),
            ({"sortBy": "expiresAt", "sortDirection": "desc"}, "acb"),
        ],
    )
    def test_in_an_order(self, orchestrator: Caller, query: dict[str, str], order: str) -> None:
        for days, name in enumerate("bca", start=1):
            minted(orchestrator, name=name, expiresIn=86_400 * days)
        listed = orchestrator.get("list", **CREATE, **query).json()
        assert [key["name"] for key in listed["apiKeys"]] == [*order]

    @pytest.mark.parametrize(
        "query",
        [
            {"sortBy": "digest"},
            {"sortDirection": "up"},
            {"limit": "-1"},
            {"limit": 101},
            {"offset": "x"},
            {"parentId": "1 OR 1"},
        ],
    )
    def test_and_by_nothing_else(self, orchestrator: Caller, query: dict[str, Any]) -> None:
        assert said(orchestrator.get("list", **query)) == (400, "VALIDATION_ERROR")

    def test_a_key_that_it_revokes_is_gone_but_for_the_record(self, orchestrator: Caller) -> None:
        told = minted(orchestrator)
        answer = orchestrator.post("delete", keyId=told["id"], reason="box 7 has ended")
        assert answer.json() == {"success": True}
        assert not works(told["key"])
        assert said(orchestrator.post("delete", keyId=told["id"])) == (404, "KEY_NOT_FOUND")
        assert said(orchestrator.get("get", id=told["id"])) == (404, "KEY_NOT_FOUND")
        assert orchestrator.get("list", **CREATE).json()["total"] == 0
        kept = orchestrator.get("list", **CREATE, includeRevoked="true").json()["apiKeys"]
        assert [key["state"] for key in kept] == ["revoked"]
        assert APIKey.objects.get(pk=told["id"]).revoke_reason == "box 7 has ended"

    def test_it_renames_shortens_and_disables_at_once(self, orchestrator: Caller) -> None:
        told = minted(orchestrator)
        changes = {"name": "box 8", "expiresIn": 60, "enabled": False}
        changed = orchestrator.post("update", keyId=told["id"], **changes).json()
        assert (changed["name"], changed["enabled"]) == ("box 8", False)
        assert changed["state"] == "disabled"
        left = datetime.fromisoformat(changed["expiresAt"]) - datetime.now(UTC)
        assert timedelta(seconds=50) < left <= timedelta(seconds=60)
        assert orchestrator.post("update", keyId=told["id"], enabled=True).json()["enabled"]

    def test_or_changes_nothing_of_all_that(self, orchestrator: Caller) -> None:
        told = minted(orchestrator, expiresIn=60)
        answer = orchestrator.post("update", keyId=told["id"], name="box 8", expiresIn=3600)
        assert said(answer) == (400, "EXPIRES_IN_IS_TOO_LARGE")
        assert orchestrator.get("get", id=told["id"]).json()["name"] is None

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"metadata": {"a": 1}}, "SERVER_ONLY_PROPERTY"),
            ({"permissions": {"sandbox": ["read"]}}, "SERVER_ONLY_PROPERTY"),
            ({"remaining": 5}, "SERVER_ONLY_PROPERTY"),
            ({"networks": []}, "SERVER_ONLY_PROPERTY"),
            ({}, "NO_VALUES_TO_UPDATE"),
            ({"expiresIn": None}, "EXPIRES_IN_IS_TOO_LARGE"),
            ({"expiresIn": 0}, "EXPIRES_IN_IS_TOO_SMALL"),
            ({"enabled": "yes"}, "VALIDATION_ERROR"),
            ({"name": "x" * 201}, "INVALID_NAME_LENGTH"),
        ],
    )
    def test_and_nothing_else(
        self, orchestrator: Caller, members: dict[str, Any], code: str
    ) -> None:
        answer = orchestrator.post("update", keyId=minted(orchestrator)["id"], **members)
        assert said(answer) == (400, code)

    def test_it_rotates_itself(self, orchestrate: Callable[..., IssuedKey]) -> None:
        issued = orchestrate()
        told = machine(issued).post("rotate", overlap=60).json()
        assert told["rotatedFrom"] == str(issued.key.pk)
        assert works(told["key"])
        assert works(issued.secret.reveal())

    def test_at_once_the_old_one_ends(self, orchestrate: Callable[..., IssuedKey]) -> None:
        issued = orchestrate()
        told = machine(issued).post("rotate", overlap=None).json()
        assert works(told["key"])
        assert not works(issued.secret.reveal())

    def test_it_rotates_what_it_has_minted(self, orchestrator: Caller) -> None:
        told = minted(orchestrator)
        successor = orchestrator.post("rotate", keyId=told["id"]).json()
        assert successor["parentId"] == told["parentId"]

    def test_it_gets_no_secret_of_a_key_that_has_more(
        self, orchestrator: Caller, mint: Callable[..., IssuedKey]
    ) -> None:
        richer = mint(scopes=["*"])
        answer = orchestrator.post("rotate", keyId=str(richer.key.pk))
        assert said(answer) == (403, "EXCEEDS_PARENT")
        disable_key(richer.key)
        answer = orchestrator.post("update", keyId=str(richer.key.pk), enabled=True)
        assert said(answer) == (403, "EXCEEDS_PARENT")

    def test_nor_of_one_that_lacks_its_metadata(
        self, orchestrate: Callable[..., IssuedKey], mint: Callable[..., IssuedKey]
    ) -> None:
        other = mint(lifetime=60)
        caller = machine(orchestrate(metadata={"tenant": 1}))
        assert said(caller.post("rotate", keyId=str(other.key.pk))) == (403, "EXCEEDS_PARENT")
        assert machine(orchestrate()).post("rotate", keyId=str(other.key.pk)).status_code == 200

    def test_a_key_that_can_not_be_rotated_says_so(self, orchestrator: Caller) -> None:
        told = minted(orchestrator)
        orchestrator.post("rotate", keyId=told["id"])
        assert said(orchestrator.post("rotate", keyId=told["id"])) == (409, "KEY_NOT_LIVE")

    @pytest.mark.parametrize("pk", ["billing's", "0", "x", "9" * 30])
    @pytest.mark.parametrize(
        ("path", "members"),
        [("get", None), ("delete", {}), ("update", {"enabled": False}), ("rotate", {})],
    )
    def test_keys_of_others_do_not_exist(
        self, orchestrator: Caller, path: str, members: dict[str, Any] | None, pk: str
    ) -> None:
        theirs = mint_key(create_service_user("billing")).key
        pk = str(theirs.pk) if pk == "billing's" else pk
        get, post = orchestrator.get, orchestrator.post
        answer = get(path, id=pk) if members is None else post(path, keyId=pk, **members)
        assert said(answer) == (404, "KEY_NOT_FOUND")

    @pytest.mark.parametrize(
        ("lacking", "path", "members"),
        [
            ("auth:read", "get", None),
            ("auth:read", "list", None),
            ("auth:revoke", "delete", {}),
            ("auth:revoke", "update", {"enabled": False}),
            ("auth:revoke", "update", {"expiresIn": 60}),
            ("auth:mint", "update", {"enabled": True}),
            ("auth:mint", "update", {"name": "x"}),
            ("auth:rotate", "rotate", {}),
        ],
    )
    def test_each_act_has_its_scope(
        self,
        orchestrate: Callable[..., IssuedKey],
        lacking: str,
        path: str,
        members: dict[str, Any] | None,
    ) -> None:
        caller = machine(orchestrate([scope for scope in EVERY_ACT if scope != lacking]))
        get, post = caller.get, caller.post
        answer = get(path, id="1") if members is None else post(path, keyId="1", **members)
        assert said(answer) == (403, "INSUFFICIENT_API_KEY_PERMISSIONS")
        assert f'scope="{lacking}"' in answer["WWW-Authenticate"]


def may_manage(_user: Any, service_user: ServiceUser) -> bool:
    return service_user.name == "sandbox-runtime"


MAY_MANAGE = f"{__name__}.may_manage"


def in_browser(user: Any, origin: str = OWN_ORIGIN) -> Caller:
    return Caller(browser_of(user), Origin=origin)


def allow(user: Any, *, without: str) -> None:
    user.user_permissions.remove(
        Permission.objects.get(codename=without, content_type__app_label="pikku_auth")
    )


class TestAHuman:
    """By the site's session, or by a login that has asked for it by name."""

    def test_mints_by_the_session(self, keeper: Any) -> None:
        row = APIKey.objects.get(pk=minted(in_browser(keeper))["id"])
        assert (row.parent, row.created_by) == (None, keeper)

    def test_not_for_another_site(self, keeper: Any) -> None:
        answer = in_browser(keeper, "https://evil.example").post("create", **CREATE)
        assert said(answer) == (403, "INVALID_ORIGIN")

    def test_mints_by_a_login_that_asked_for_it(self, keeper: Any) -> None:
        with pikku_settings(LOGIN_SCOPES=["auth:*", "perm:*"]):
            caller = Caller(**bearer(logged_in(keeper, scope="auth:mint")))
            assert minted(caller)
            assert said(caller.get("list")) == (403, "INSUFFICIENT_API_KEY_PERMISSIONS")

    @pytest.mark.parametrize("scope", ["", "*", "perm:*"])
    @pytest.mark.parametrize("given", [["*"], ["*", "auth:*", "perm:*"]])
    def test_an_everyday_login_manages_no_key_not_even_a_superusers(
        self, make_user: Any, service_user: ServiceUser, scope: str, given: list[str]
    ) -> None:
        root = make_user("root", is_superuser=True, is_staff=True)
        with pikku_settings(LOGIN_SCOPES=given):
            answer = Caller(**bearer(logged_in(root, scope=scope))).post("create", **CREATE)
        assert said(answer) == (403, "INSUFFICIENT_API_KEY_PERMISSIONS")

    def test_names_a_service_user(self, keeper: Any) -> None:
        assert said(in_browser(keeper).post("create")) == (400, "ORGANIZATION_ID_REQUIRED")

    def test_names_the_key_to_rotate(self, keeper: Any) -> None:
        assert said(in_browser(keeper).post("rotate")) == (404, "KEY_NOT_FOUND")

    @pytest.mark.parametrize(
        ("lacking", "path", "members"),
        [
            ("mint_apikey", "create", CREATE),
            ("mint_apikey", "rotate", {}),
            ("mint_apikey", "update", {"enabled": True}),
            ("change_apikey", "update", {"name": "x"}),
            ("revoke_apikey", "update", {"enabled": False}),
            ("revoke_apikey", "update", {"expiresIn": 60}),
            ("revoke_apikey", "delete", {}),
            ("revoke_apikey", "rotate", {"overlap": None}),
            ("view_apikey", "list", None),
        ],
    )
    def test_needs_the_permission_at_each_request(
        self,
        keeper: Any,
        mint: Callable[..., IssuedKey],
        lacking: str,
        path: str,
        members: dict[str, Any] | None,
    ) -> None:
        allow(keeper, without=lacking)
        caller, pk = in_browser(keeper), str(mint().key.pk)
        get, post = caller.get, caller.post
        answer = get(path) if members is None else post(path, **{"keyId": pk, **members})
        assert said(answer) == (403, "INSUFFICIENT_API_KEY_PERMISSIONS")
        assert lacking in answer.json()["message"]

    def test_manages_those_that_may_manage_lets_them(self, keeper: Any) -> None:
        billing = mint_key(create_service_user("billing")).key
        caller = in_browser(keeper)
        with pikku_settings(MAY_MANAGE=MAY_MANAGE):
            answer = caller.post("create", organizationId="billing")
            assert said(answer) == (403, "USER_NOT_MEMBER_OF_ORGANIZATION")
            assert said(caller.get("get", id=billing.pk)) == (404, "KEY_NOT_FOUND")
            listed = caller.get("list").json()["apiKeys"]
        assert "billing" not in {key["referenceId"] for key in listed}

    def test_gives_no_more_than_the_admin_would_let_them(self, keeper: Any) -> None:
        allow(keeper, without="grant_any_scope")
        caller = in_browser(keeper)
        answer = caller.post("create", **CREATE)
        assert said(answer) == (403, "INSUFFICIENT_API_KEY_PERMISSIONS")
        ServiceUser.objects.update(scopes=["sandbox:read"])
        answer = caller.post("create", **CREATE, permissions={"sandbox": ["write"]})
        assert said(answer) == (400, "VALIDATION_ERROR")
        assert minted(caller, permissions={"sandbox": ["read"]})

    def test_makes_a_key_that_makes_keys(self, keeper: Any) -> None:
        delegation = {"organizationIds": ["sandbox-runtime"], "metadata": ["sandbox"], "maxKeys": 5}
        create_service_user("orchestrator")
        told = minted(
            in_browser(keeper),
            organizationId="orchestrator",
            permissions={"auth": ["mint"]},
            delegation=delegation,
        )
        assert told["delegation"] == delegation
        orchestrator = Caller(**{"x-api-key": told["key"]})
        assert minted(orchestrator, metadata={"sandbox": 7})["metadata"] == {"sandbox": 7}

    @pytest.mark.parametrize(("name", "status"), [("billing", 403), ("sandbox-runtime", 200)])
    def test_and_delegates_only_what_they_manage(self, keeper: Any, name: str, status: int) -> None:
        create_service_user("billing")
        delegation = {"organizationIds": [name]}
        with pikku_settings(MAY_MANAGE=MAY_MANAGE):
            answer = in_browser(keeper).post(
                "create", **CREATE, permissions={"auth": ["read"]}, delegation=delegation
            )
        assert answer.status_code == status

    @pytest.mark.parametrize(("may_grant_any", "status"), [(True, 200), (False, 403)])
    def test_every_service_user_if_they_may_grant_anything(
        self, keeper: Any, may_grant_any: bool, status: int
    ) -> None:
        ServiceUser.objects.update(scopes=["auth:read"])
        if not may_grant_any:
            allow(keeper, without="grant_any_scope")
        answer = in_browser(keeper).post(
            "create",
            **CREATE,
            permissions={"auth": ["read"]},
            delegation={"organizationIds": ["*"]},
        )
        assert answer.status_code == status


class TestNobody:
    """Without a good credential."""

    @pytest.mark.parametrize(
        "headers",
        [{}, {"x-api-key": "pka_wrong"}, {"Authorization": "Bearer pks_wrong"}],
        ids=["none", "a bad key", "a bad token"],
    )
    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("create", "UNAUTHORIZED_SESSION"),
            ("update", "UNAUTHORIZED_SESSION"),
            ("rotate", "UNAUTHORIZED_SESSION"),
            ("delete", "UNAUTHORIZED"),
        ],
    )
    def test_is_refused(self, path: str, code: str, headers: dict[str, str]) -> None:
        answer = Caller(**headers).post(path, keyId="1", enabled=False)
        assert said(answer) == (401, code)
        assert "realm" in answer["WWW-Authenticate"]

    @pytest.mark.parametrize("path", ["get", "list"])
    def test_reads_nothing(self, path: str) -> None:
        assert said(Caller().get(path)) == (401, "UNAUTHORIZED")

    def test_a_key_never_falls_through_to_a_session(self, keeper: Any) -> None:
        caller = in_browser(keeper)
        caller.headers["x-api-key"] = "pka_wrong"
        assert said(caller.post("create", **CREATE)) == (401, "UNAUTHORIZED_SESSION")


def test_one_that_only_reads_may_know_of_every_key(
    orchestrate: Callable[..., IssuedKey],
) -> None:
    theirs = mint_key(create_service_user("billing")).key
    caller = machine(orchestrate(["auth:read"], delegation=Delegation(["*"])))
    assert caller.get("get", id=theirs.pk).json()["referenceId"] == "billing"


def test_an_outage_is_no_refusal(orchestrator: Caller) -> None:
    with outage():
        answer = orchestrator.post("create")
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer["Retry-After"]


class TestWhatIsSent:
    """Bodies that are wrong get the contract's words."""

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"name": 5}, "VALIDATION_ERROR"),
            ({"permissions": ["sandbox:read"]}, "VALIDATION_ERROR"),
            ({"permissions": {"sandbox": "read"}}, "VALIDATION_ERROR"),
            ({"permissions": {"sandbox": ["reed"]}}, "VALIDATION_ERROR"),
            ({"permissions": {"auth": ["steal"]}}, "VALIDATION_ERROR"),
            ({"networks": ["nowhere"]}, "VALIDATION_ERROR"),
            ({"networks": "10.0.0.0/8"}, "VALIDATION_ERROR"),
            ({"remaining": 1.5}, "VALIDATION_ERROR"),
            ({"remaining": True}, "VALIDATION_ERROR"),
            ({"rateLimitMax": 5}, "VALIDATION_ERROR"),
            ({"rateLimitMax": 5, "rateLimitTimeWindow": 1e300}, "VALIDATION_ERROR"),
            ({"rateLimitMax": 0, "rateLimitTimeWindow": 1000}, "VALIDATION_ERROR"),
            ({"refillAmount": 5}, "REFILL_AMOUNT_AND_INTERVAL_REQUIRED"),
            ({"refillInterval": 5}, "REFILL_INTERVAL_AND_AMOUNT_REQUIRED"),
            ({"expiresIn": 0.5}, "EXPIRES_IN_IS_TOO_SMALL"),
            ({"expiresIn": 1e300}, "EXPIRES_IN_IS_TOO_LARGE"),
            ({"expiresIn": "1d"}, "VALIDATION_ERROR"),
            ({"metadata": []}, "INVALID_METADATA_TYPE"),
            ({"metadata": "x"}, "INVALID_METADATA_TYPE"),
            ({"name": "x" * 201}, "INVALID_NAME_LENGTH"),
            ({"prefix": "abc"}, "SERVER_ONLY_PROPERTY"),
        ],
    )
    def test_is_refused_with_the_contracts_code(
        self, orchestrator: Caller, members: dict[str, Any], code: str
    ) -> None:
        assert said(orchestrator.post("create", **CREATE, **members)) == (400, code)
        assert APIKey.objects.count() == 1

    def test_metadata_has_a_form(self, keeper: Any) -> None:
        answer = in_browser(keeper).post("create", **CREATE, metadata={"a b": 1})
        assert said(answer) == (400, "INVALID_METADATA_TYPE")

    @pytest.mark.parametrize(
        "delegation",
        [
            {"most": 5},
            {"maxKeys": 0},
            {"maxKeys": "5"},
            {"organizationIds": "billing"},
            {"organizationIds": [5]},
            {"organizationIds": ["nobody"]},
            {"organizationIds": ["*"]},
            {"metadata": ["a b"]},
            {"metadata": {"a": 1}},
        ],
    )
    def test_a_delegation_has_a_form(self, keeper: Any, delegation: dict[str, Any]) -> None:
        members = {"permissions": {"auth": ["mint"]}, "delegation": delegation}
        answer = in_browser(keeper).post("create", **CREATE, **members)
        assert said(answer) == (400, "VALIDATION_ERROR")

    def test_a_delegation_needs_a_scope_of_its_own(self, keeper: Any) -> None:
        answer = in_browser(keeper).post("create", **CREATE, delegation={"maxKeys": 5})
        assert said(answer) == (400, "VALIDATION_ERROR")

    def test_a_user_id_is_nobodys(self, orchestrator: Caller) -> None:
        assert said(orchestrator.post("create", userId="1")) == (401, "UNAUTHORIZED_SESSION")

    def test_a_key_is_asked_for_by_its_id(self, orchestrator: Caller) -> None:
        assert said(orchestrator.get("get")) == (400, "VALIDATION_ERROR")
        assert said(orchestrator.post("delete")) == (400, "VALIDATION_ERROR")

    def test_limits_are_as_the_contract_has_them(self, orchestrator: Caller) -> None:
        members = {"rateLimitMax": 5, "rateLimitTimeWindow": 60_000, "remaining": 7}
        members |= {"refillAmount": 7, "refillInterval": 3_600_000}
        told = minted(orchestrator, **members)
        assert {name: told[name] for name in members} == members

    def test_a_limit_of_the_caller_is_told_as_such(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        caller = machine(orchestrate(rate=Rate(1, 3600)))
        caller.get("list")
        assert said(caller.get("list")) == (429, "RATE_LIMITED")

    def test_and_a_network_that_it_may_not_call_from(
        self, orchestrate: Callable[..., IssuedKey]
    ) -> None:
        caller = machine(orchestrate(networks=["192.0.2.0/24"]))
        assert said(caller.get("list")) == (403, "NETWORK_NOT_ALLOWED")


class TestIdempotencyKey:
    """A repeat never makes two."""

    def create(self, caller: Caller, request_id: str = "e2d1-7", **members: Any) -> Any:
        return caller.post("create", {"Idempotency-Key": request_id}, **CREATE, **members)

    def test_a_repeat_gets_the_record_without_the_secret(self, orchestrator: Caller) -> None:
        first = self.create(orchestrator).json()
        secret = first.pop("key")
        again = self.create(orchestrator)
        assert said(again) == (409, "IDEMPOTENCY_KEY_USED")
        assert again.json()["apiKey"] == first
        assert secret not in again.content.decode()
        assert APIKey.objects.count() == 2

    def test_another_body_is_another_request(self, orchestrator: Caller) -> None:
        self.create(orchestrator)
        again = self.create(orchestrator, name="another")
        assert said(again) == (422, "IDEMPOTENCY_KEY_REUSED")

    def test_while_it_runs_the_repeat_has_to_wait(self, orchestrator: Caller) -> None:
        self.create(orchestrator)
        UsedRequest.objects.update(key=None)
        again = self.create(orchestrator)
        assert said(again) == (409, "IDEMPOTENCY_KEY_IN_USE")
        assert again["Retry-After"] == "1"

    def test_what_failed_may_be_sent_again(self, orchestrator: Caller) -> None:
        for _ in range(2):
            answer = self.create(orchestrator, permissions={"*": ["*"]})
            assert said(answer) == (403, "EXCEEDS_PARENT")
        assert self.create(orchestrator).status_code == 200

    def test_another_caller_has_ids_of_its_own(self, orchestrate: Callable[..., IssuedKey]) -> None:
        for _ in range(2):
            assert self.create(machine(orchestrate())).status_code == 200

    def test_rotates_once_too(self, orchestrator: Caller) -> None:
        members = {"keyId": minted(orchestrator)["id"], "overlap": None}
        request_id = {"Idempotency-Key": "7"}
        successor = orchestrator.post("rotate", request_id, **members).json()
        again = orchestrator.post("rotate", request_id, **members)
        assert said(again) == (409, "IDEMPOTENCY_KEY_USED")
        assert again.json()["apiKey"]["id"] == successor["id"]

    @pytest.mark.parametrize("wrong", ["", "x" * 256, "a b", "\u00e9"])
    def test_has_a_form(self, orchestrator: Caller, wrong: str) -> None:
        assert said(self.create(orchestrator, wrong)) == (400, "VALIDATION_ERROR")


def test_what_is_refused_is_not_on_record(orchestrator: Caller) -> None:
    before = AuditEvent.objects.count()
    orchestrator.post("create", **CREATE, permissions={"*": ["*"]})
    orchestrator.post("create", organizationId="nobody")
    orchestrator.post("delete", keyId="0")
    orchestrator.post("update", keyId="0", enabled=False)
    Caller().post("create")
    assert AuditEvent.objects.count() == before
