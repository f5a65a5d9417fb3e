"""``manage.py change_sandbox``: what an operator does to a sandbox, and what its key sees of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from example_project.sandboxes.models import Organisation, Sandbox

pytestmark = pytest.mark.django_db

WHOAMI = "/api/whoami/"


def change(sandbox: Sandbox, *options: str) -> None:
    call_command("change_sandbox", str(sandbox.pk), *options)


def test_it_moves_a_sandbox_and_makes_the_organisation(
    its_key: Any, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    change(sandbox, "--organisation", "initech")
    pk = Organisation.objects.get(name="initech").pk
    assert its_key.get(WHOAMI).json()["organisation"] == pk
    assert capsys.readouterr().out == (
        f"Sandbox {sandbox.pk} is running, in organisation {pk} (initech).\n"
    )


def test_it_stops_a_sandbox_and_starts_it(its_key: Any, sandbox: Sandbox) -> None:
    for status, answer in (("stopped", 401), ("running", 200)):
        change(sandbox, "--status", status)
        assert its_key.get(WHOAMI).status_code == answer


def test_what_is_not_mentioned_stays(sandbox: Sandbox) -> None:
    change(sandbox, "--status", "stopped")
    change(sandbox, "--organisation", "globex")
    told = Sandbox.objects.values_list("status", "organisation__name")
    assert told.get() == ("stopped", "globex")


def test_a_sandbox_that_is_not_there_is_an_error(db: None) -> None:
    with pytest.raises(CommandError, match=r"^There is no sandbox 7\.$"):
        call_command("change_sandbox", "7")


def test_staff_do_the_same_in_the_admin(
    its_key: Any, sandbox: Sandbox, globex: Organisation, client: Client, make_user: Any
) -> None:
    ada = make_user(is_staff=True, is_superuser=True)
    client.force_login(ada, "django.contrib.auth.backends.ModelBackend")
    path = f"/admin/sandboxes/sandbox/{sandbox.pk}/change/"
    form = {"name": "mine", "organisation": globex.pk, "created_by": ada.pk}
    client.post(path, {**form, "status": "running"})
    assert its_key.get(WHOAMI).json()["organisation"] == globex.pk
    client.post(path, {**form, "status": "stopped"})
    assert its_key.get(WHOAMI).status_code == 401
    page = client.get("/admin/sandboxes/sandbox/").content.decode()
    assert "globex" in page
    assert "stopped" in page
