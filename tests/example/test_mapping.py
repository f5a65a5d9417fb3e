"""A sandbox's key goes by the sandbox's row, as it is when the request comes."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from example_project.sandboxes.models import Organisation, Sandbox, Status
from pikku_auth import signals
from pikku_auth.flows import Delegation, create_service_user, mint_key
from pikku_auth.testing import client_with_key, mint_test_key
from tests.logins import browser_of
from tests.over_the_wire import machine

pytestmark = pytest.mark.django_db

WHOAMI = "/api/whoami/"


def status_of(client: Any) -> int:
    """What it is answered."""
    status: int = client.get(WHOAMI).status_code
    return status


def test_a_sandboxs_key_is_told_its_organisation(its_key: Any, acme: Organisation) -> None:
    assert its_key.get(WHOAMI).json()["organisation"] == acme.pk


def test_a_key_minted_by_the_command_is_one_too(
    api: Any, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = f'{{"sandbox": {sandbox.pk}}}'
    call_command("mint_key", "--service", "runtime", "--create", "--metadata", metadata)
    headers = {"x-api-key": capsys.readouterr().out.strip()}
    answer = api.get(WHOAMI, headers=headers).json()
    assert answer["organisation"] == sandbox.organisation.pk


def test_a_moved_sandboxs_key_moves_with_it(
    its_key: Any, sandbox: Sandbox, globex: Organisation
) -> None:
    assert its_key.get(WHOAMI).json()["organisation"] == sandbox.organisation.pk
    Sandbox.objects.update(organisation=globex)
    assert its_key.get(WHOAMI).json()["organisation"] == globex.pk


def test_a_stopped_sandboxs_key_is_refused_until_it_runs_again(its_key: Any) -> None:
    Sandbox.objects.update(status=Status.STOPPED)
    refusal = its_key.get(WHOAMI)
    assert refusal.status_code == 401
    assert refusal.json() == {"detail": "Invalid API key.", "code": "invalid_key"}
    Sandbox.objects.update(status=Status.RUNNING)
    assert status_of(its_key) == 200


def test_stopped_sandboxs_key_is_not_active_for_a_resource_server(sandbox: Sandbox) -> None:
    issued = mint_test_key(metadata={"sandbox": sandbox.pk})
    client, form = client_with_key(["auth:introspect"]), "application/x-www-form-urlencoded"
    body = f"token={issued.secret.reveal()}&claims=true"

    def told() -> Any:
        return client.post("/auth/introspect", body, content_type=form).json()

    claims = {"organisation": sandbox.organisation.pk, "sandbox": sandbox.pk}
    assert told()["claims"] == claims
    Sandbox.objects.update(status=Status.STOPPED)
    assert told() == {"active": False}


def test_a_deleted_sandboxs_key_is_refused(its_key: Any, sandbox: Sandbox) -> None:
    sandbox.delete()
    assert status_of(its_key) == 401


@pytest.mark.parametrize(
    "given", [None, True, "1", "mine", 1.0, [1], {"id": 1}, 0, -1, 10**30, -(10**30)]
)
def test_a_key_whose_sandbox_is_no_id_of_one_is_refused(
    given: Any, acme: Organisation, make_user: Any
) -> None:
    Sandbox.objects.create(pk=1, name="1", organisation=acme, created_by=make_user())
    assert status_of(client_with_key(metadata={"sandbox": given})) == 401


def test_the_reason_of_a_refusal_is_for_the_log(its_key: Any) -> None:
    heard: list[str] = []

    def hear(reason: str, **_: Any) -> None:
        heard.append(reason)

    Sandbox.objects.update(status=Status.STOPPED)
    signals.key_refused.connect(hear)
    status_of(its_key)
    signals.key_refused.disconnect(hear)
    assert heard == ["rejected_by_mapping"]


def test_an_operators_key_has_no_organisation_and_works_on(operator: Any, sandbox: Sandbox) -> None:
    Sandbox.objects.update(status=Status.STOPPED)
    answer = operator.get(WHOAMI)
    assert answer.status_code == 200
    assert "organisation" not in answer.json()


def test_a_person_signed_in_to_the_site_has_no_organisation(make_user: Any) -> None:
    user = make_user()
    told = browser_of(user).get(WHOAMI).json()
    assert told == {"user": user.get_username(), "via": "session", "scopes": []}


def test_a_sandboxs_key_costs_one_select_more(
    its_key: Any, operator: Any, django_assert_num_queries: Any
) -> None:
    for client, selects in ((its_key, 2), (operator, 1)):
        client.get(WHOAMI)  # notes the use, once a minute
        with django_assert_num_queries(selects):
            client.get(WHOAMI)


class TestKeysThatAKeyHasMinted:
    """The mapping trusts metadata, so none of them is another sandbox's than its parent's."""

    def mint(self, parent: dict[str, Any], names: list[str], **members: Any) -> Any:
        """The status of the answer, or what the new key is."""
        issued = mint_key(
            create_service_user("orchestrator"),
            scopes=["auth:mint"],
            metadata=parent,
            delegation=Delegation(metadata=names),
        )
        answer = machine(issued).post("create", **members)
        if answer.status_code != 200:
            return answer.status_code
        return Client().get(WHOAMI, headers={"x-api-key": answer.json()["key"]}).json()

    def test_a_sandboxs_key_mints_for_its_own_sandbox(self, sandbox: Sandbox) -> None:
        its = {"sandbox": sandbox.pk}
        assert self.mint(its, [])["organisation"] == sandbox.organisation.pk

    def test_and_for_no_other(self, sandbox: Sandbox) -> None:
        its, other = {"sandbox": sandbox.pk}, {"sandbox": sandbox.pk + 1}
        assert self.mint(its, ["sandbox"], metadata=other) == 403

    @pytest.mark.parametrize(("names", "is_made"), [([], False), (["sandbox"], True)])
    def test_an_operators_key_mints_for_sandboxes_if_it_says_so(
        self, sandbox: Sandbox, names: list[str], is_made: bool
    ) -> None:
        made = self.mint({}, names, metadata={"sandbox": sandbox.pk})
        assert made == 403 if not is_made else made["organisation"] == sandbox.organisation.pk
