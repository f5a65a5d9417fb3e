"""What callers of the example see of its sandboxes, and where those that they make belong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from example_project.sandboxes.models import Organisation, Sandbox, Status
from pikku_auth.testing import client_with_key
from tests.logins import bearer, logged_in

pytestmark = pytest.mark.django_db

SANDBOXES = "/api/sandboxes/"
MakeSandbox = Callable[..., Sandbox]


def names_seen_by(client: Any) -> list[str]:
    return [sandbox["name"] for sandbox in client.get(SANDBOXES).json()]


def status_path(sandbox: Sandbox) -> str:
    return f"{SANDBOXES}{sandbox.pk}/status/"


@pytest.fixture
def foreign(globex: Organisation, make_sandbox: MakeSandbox) -> Sandbox:
    """A sandbox of another organisation."""
    return make_sandbox(globex, "theirs")


class TestTheList:
    """``GET sandboxes/``."""

    def test_a_sandboxs_key_sees_its_organisations_alone(
        self, its_key: Any, foreign: Sandbox, acme: Organisation, make_sandbox: MakeSandbox
    ) -> None:
        make_sandbox(acme, "beside")
        assert names_seen_by(its_key) == ["mine", "beside"]

    def test_and_another_organisations_once_it_was_moved(
        self, its_key: Any, sandbox: Sandbox, foreign: Sandbox, make_sandbox: MakeSandbox
    ) -> None:
        make_sandbox(sandbox.organisation, "left behind")
        Sandbox.objects.filter(pk=sandbox.pk).update(organisation=foreign.organisation)
        assert names_seen_by(its_key) == ["mine", "theirs"]

    def test_an_operators_key_sees_all(
        self, operator: Any, sandbox: Sandbox, foreign: Sandbox
    ) -> None:
        assert names_seen_by(operator) == ["mine", "theirs"]

    def test_a_human_with_a_login_sees_all(
        self, api: Any, make_user: Any, sandbox: Sandbox, foreign: Sandbox
    ) -> None:
        api.credentials(HTTP_AUTHORIZATION=bearer(logged_in(make_user()))["Authorization"])
        assert names_seen_by(api) == ["mine", "theirs"]


class TestMaking:
    """``POST sandboxes/``."""

    def test_what_a_sandboxs_key_makes_is_its_organisations(
        self, its_key: Any, acme: Organisation
    ) -> None:
        answer = its_key.post(SANDBOXES, {"name": "child"})
        assert answer.status_code == 201
        assert answer.json()["organisation"] == acme.pk
        assert Sandbox.objects.get(name="child").organisation == acme

    def test_it_may_say_so(self, its_key: Any, acme: Organisation) -> None:
        body = {"name": "child", "organisation": acme.pk}
        assert its_key.post(SANDBOXES, body).json()["organisation"] == acme.pk

    def test_for_it_no_other_organisation_exists(self, its_key: Any, globex: Organisation) -> None:
        nobodys = globex.pk + 1
        for pk in (globex.pk, nobodys):
            refusal = its_key.post(SANDBOXES, {"name": "child", "organisation": pk})
            assert refusal.status_code == 400
            expected = [f'Invalid pk "{pk}" - object does not exist.']
            assert refusal.json() == {"organisation": expected}
        assert not Sandbox.objects.filter(name="child").exists()

    def test_an_operators_key_says_for_whom(self, operator: Any, globex: Organisation) -> None:
        body = {"name": "new", "organisation": globex.pk}
        assert operator.post(SANDBOXES, body).json()["organisation"] == globex.pk

    def test_if_it_does_not_the_default_organisation_gets_it(self, operator: Any) -> None:
        for name in ("one", "two"):
            assert operator.post(SANDBOXES, {"name": name}).status_code == 201
        assert Organisation.objects.get().name == "default"

    def test_a_new_sandbox_runs_whatever_the_body_says(self, operator: Any) -> None:
        answer = operator.post(SANDBOXES, {"name": "new", "status": "stopped"})
        assert answer.json()["status"] == "running"


class TestTheStatus:
    """``GET sandboxes/1/status/``, which is plain Django."""

    @pytest.mark.parametrize("status", Status.values)
    def test_an_operators_key_is_told(self, operator: Any, sandbox: Sandbox, status: str) -> None:
        Sandbox.objects.update(status=status)
        answer = operator.get(status_path(sandbox))
        assert answer.json() == {"id": sandbox.pk, "status": status}

    def test_a_sandboxs_key_is_told_of_its_own_organisations(
        self, its_key: Any, sandbox: Sandbox
    ) -> None:
        assert its_key.get(status_path(sandbox)).json()["status"] == "running"

    def test_for_it_no_other_sandbox_exists(self, its_key: Any, foreign: Sandbox) -> None:
        assert its_key.get(status_path(foreign)).status_code == 404

    def test_a_number_beyond_all_ids_is_not_found(self, operator: Any) -> None:
        assert operator.get(f"{SANDBOXES}{10**30}/status/").status_code == 404

    def test_a_stopped_sandboxs_key_is_refused(self, its_key: Any, sandbox: Sandbox) -> None:
        Sandbox.objects.update(status=Status.STOPPED)
        refusal = its_key.get(status_path(sandbox))
        assert (refusal.status_code, refusal.json()["code"]) == (401, "invalid_key")

    def test_who_lacks_the_scope_is_told_which(self, sandbox: Sandbox) -> None:
        refusal = client_with_key(["sandbox:write"]).get(status_path(sandbox))
        assert refusal.status_code == 403
        assert refusal.json()["detail"] == "Missing scope: sandbox:read."

    def test_nobody_is_asked_for_a_credential(self, api: Any, sandbox: Sandbox) -> None:
        refusal = api.get(status_path(sandbox))
        assert (refusal.status_code, refusal.json()["code"]) == (401, "not_authenticated")
