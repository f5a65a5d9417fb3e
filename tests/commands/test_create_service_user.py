"""``manage.py create_service_user NAME``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pikku_auth.models import AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]


def test_it_makes_a_service_user_and_says_what_comes_next(capsys: Output) -> None:
    call_command("create_service_user", "builder", "--description", "Builds images.")
    builder = ServiceUser.objects.get()
    assert (builder.name, builder.description) == ("builder", "Builds images.")
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "Next: manage.py mint_key --service builder --scope resource:action" in stderr


def test_it_can_be_silent(capsys: Output) -> None:
    call_command("create_service_user", "builder", "--verbosity", "0")
    assert capsys.readouterr() == ("", "")


def test_it_is_recorded_as_done_from_a_command_by_whoever_ran_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    call_command("create_service_user", "builder")
    event = AuditEvent.objects.get()
    assert (event.source, event.actor_name) == ("command", "ada")


def test_a_user_whom_the_system_has_no_name_for_may_run_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    call_command("create_service_user", "builder")
    assert AuditEvent.objects.get().actor_name == ""


def test_it_adopts_an_existing_user(make_user: Callable[..., Any]) -> None:
    ada = make_user("ada")
    call_command("create_service_user", "builder", "--user", ada.get_username())
    assert ServiceUser.objects.get().user == ada


def test_a_user_to_adopt_must_exist() -> None:
    with pytest.raises(CommandError, match="no user 'ada' to adopt: leave --user out"):
        call_command("create_service_user", "builder", "--user", "ada")
    assert not ServiceUser.objects.exists()


def test_a_superuser_is_not_adopted(make_user: Callable[..., Any]) -> None:
    root = make_user("root", is_superuser=True)
    with pytest.raises(CommandError, match="take those rights away first"):
        call_command("create_service_user", "builder", "--user", root.get_username())
    assert not ServiceUser.objects.exists()


def test_a_malformed_name_is_refused() -> None:
    with pytest.raises(CommandError, match="for example sandbox-runtime"):
        call_command("create_service_user", "Sandbox Runtime")
    assert not ServiceUser.objects.exists()


def test_a_taken_name_is_refused(service_user: ServiceUser) -> None:
    with pytest.raises(CommandError, match="'sandbox-runtime' is taken"):
        call_command("create_service_user", "sandbox-runtime")
    assert ServiceUser.objects.get() == service_user
