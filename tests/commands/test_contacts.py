"""``manage.py set_service_user_contacts NAME``, and what else knows of contacts."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import create_service_user, set_service_user_contacts
from pikku_auth.models import AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]


def test_the_command_sets_the_contacts_and_says_so(
    service_user: ServiceUser, capsys: Output
) -> None:
    addresses = ["--contact", "ops@example.com", "--contact", "ada@example.com"]
    call_command("set_service_user_contacts", "sandbox-runtime", *addresses)
    assert ServiceUser.objects.get().contacts == ["ops@example.com", "ada@example.com"]
    told = "Of the keys of sandbox-runtime hears: ops@example.com, ada@example.com.\n"
    assert capsys.readouterr() == ("", told)


def test_nobody_can_be_set(service_user: ServiceUser, capsys: Output) -> None:
    set_service_user_contacts(service_user, ["ops@example.com"])
    call_command("set_service_user_contacts", "sandbox-runtime", "--nobody")
    assert ServiceUser.objects.get().contacts == []
    assert capsys.readouterr().err == "Of the keys of sandbox-runtime hears: nobody.\n"


def test_it_is_audited_in_words(service_user: ServiceUser, capsys: Output) -> None:
    call_command("set_service_user_contacts", "sandbox-runtime", "--contact", "ops@example.com")
    call_command("list_events", "--limit", "1")
    said = capsys.readouterr().out
    assert "Service user's contacts set: from nobody to ops@example.com" in said


def test_what_is_so_already_is_not_audited(service_user: ServiceUser) -> None:
    assert set_service_user_contacts(service_user, ["ops@example.com"])
    before = AuditEvent.objects.count()
    assert not set_service_user_contacts(service_user, ["ops@example.com", "ops@example.com"])
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ops", "'ops' is no e-mail address."),
        ("ops@example.com\nBcc: eve@example.com", "Leave out U+000A"),
        ('"a\x01"@example.com', "Leave out U+0001"),
        ("Ops <ops@example.com>", "is no e-mail address."),
        ("ops@example.com,eve@example.com", "is no e-mail address."),
        (f"{'x' * 250}@example.com", "at most 254 characters"),
    ],
)
def test_what_is_no_address_or_breaks_a_header_is_refused(
    service_user: ServiceUser, address: str, says: str
) -> None:
    with pytest.raises(CommandError, match=says.replace("+", r"\+")):
        call_command("set_service_user_contacts", "sandbox-runtime", "--contact", address)
    assert ServiceUser.objects.get().contacts == []


def test_there_are_twenty_at_most(service_user: ServiceUser) -> None:
    many = [f"n{number}@example.com" for number in range(21)]
    with pytest.raises(InvalidInput, match="Name at most 20 contacts"):
        set_service_user_contacts(service_user, many)
    assert set_service_user_contacts(service_user, many[:20])


def test_one_text_is_no_list(service_user: ServiceUser) -> None:
    with pytest.raises(InvalidInput, match="Give a list of e-mail addresses"):
        set_service_user_contacts(service_user, "ops@example.com")


def test_a_service_user_is_made_with_contacts(capsys: Output) -> None:
    call_command("create_service_user", "builder", "--contact", "ops@example.com")
    capsys.readouterr()
    call_command("list_service_users", "--format", "json")
    assert json.loads(capsys.readouterr().out)[0]["contacts"] == ["ops@example.com"]
    assert AuditEvent.objects.get().details["contacts"] == ["ops@example.com"]


def test_one_that_is_made_with_a_wrong_contact_is_not_made() -> None:
    with pytest.raises(InvalidInput):
        create_service_user("builder", contacts=["nobody"])
    assert not ServiceUser.objects.exists()
