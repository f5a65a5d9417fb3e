"""``manage.py activate_service_user NAME`` and ``manage.py deactivate_service_user NAME``."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from pikku_auth.models import AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]


def test_deactivating_says_what_it_means(service_user: ServiceUser, capsys: Output) -> None:
    call_command("deactivate_service_user", "sandbox-runtime")
    assert not ServiceUser.objects.get().is_active
    assert capsys.readouterr() == (
        "",
        "Deactivated sandbox-runtime: none of its keys works any more.\n",
    )


def test_activating_says_what_it_means(service_user: ServiceUser, capsys: Output) -> None:
    call_command("deactivate_service_user", "sandbox-runtime", verbosity=0)
    call_command("activate_service_user", "sandbox-runtime")
    assert ServiceUser.objects.get().is_active
    assert capsys.readouterr() == ("", "Activated sandbox-runtime: its live keys work again.\n")


def test_deactivating_twice_is_no_error(service_user: ServiceUser, capsys: Output) -> None:
    call_command("deactivate_service_user", "sandbox-runtime", verbosity=0)
    call_command("deactivate_service_user", "sandbox-runtime")
    assert capsys.readouterr().err == "sandbox-runtime was inactive already.\n"


def test_activating_twice_is_no_error(service_user: ServiceUser, capsys: Output) -> None:
    call_command("activate_service_user", "sandbox-runtime")
    assert capsys.readouterr().err == "sandbox-runtime was active already.\n"


@pytest.mark.parametrize("command", ["activate_service_user", "deactivate_service_user"])
def test_an_unknown_name_comes_with_the_nearest(service_user: ServiceUser, command: str) -> None:
    with pytest.raises(CommandError, match="Did you mean sandbox-runtime"):
        call_command(command, "sandbox-runtme")
    assert ServiceUser.objects.get().is_active


def test_it_is_recorded_as_done_from_a_command(service_user: ServiceUser) -> None:
    call_command("deactivate_service_user", "sandbox-runtime")
    event = AuditEvent.objects.get(action="service_user_deactivated")
    assert event.source == "command"


def test_a_database_that_is_down_is_one_line_that_helps(service_user: ServiceUser) -> None:
    def down(*args: object) -> None:
        raise OperationalError("server closed the connection\n")

    with (
        connection.execute_wrapper(down),
        pytest.raises(CommandError, match=r"\(server closed the connection\). Is it running, and"),
    ):
        call_command("deactivate_service_user", "sandbox-runtime")
