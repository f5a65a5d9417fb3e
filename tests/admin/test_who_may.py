"""Who may do what, by button and by request: the whole table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from pikku_auth.flows import IssuedKey, create_service_user
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import (
    EVENTS,
    KEYS,
    MINT,
    SECRET,
    SERVICE_USERS,
    act,
    html_of,
    messages_of,
    mint,
    rotate,
)
from tests.logins import browser_of

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]

ROLES: dict[str, list[str]] = {
    "nobody": [],
    "viewer": ["view_apikey"],
    "changer": ["view_apikey", "change_apikey"],
    "minter": ["view_apikey", "mint_apikey", "view_serviceuser", "grant_any_scope"],
    "blind minter": ["view_apikey", "mint_apikey", "grant_any_scope"],
    "revoker": ["view_apikey", "revoke_apikey"],
    "deleter": ["view_apikey", "delete_apikey"],
    "adder": ["view_apikey", "add_apikey"],
    "machine-keeper": ["view_serviceuser", "add_serviceuser", "change_serviceuser"],
    "auditor": ["view_auditevent"],
}


class Acts:
    """Each tries one thing and says whether it was done."""

    def __init__(self, client: Client, mint: Mint) -> None:
        self.client, self.mint = client, mint
        self.key = mint(scopes=["sandbox:read"]).key

    def row(self) -> APIKey:
        return APIKey.objects.get(pk=self.key.pk)

    def list(self) -> bool:
        return self.client.get(KEYS).status_code == 200

    def look(self) -> bool:
        return self.client.get(f"{KEYS}{self.key.pk}/change/").status_code == 200

    def read_history(self) -> bool:
        return self.client.get(f"{KEYS}{self.key.pk}/history/").status_code == 200

    def find_a_secret(self) -> bool:
        found = self.client.post(f"{KEYS}find/", {"secret": self.mint().secret.reveal()})
        return found.status_code == 302

    def mint_a_key(self) -> bool:
        if self.client.get(MINT).status_code != 200:
            sent = {"service_user": self.key.service_user_id, "expires_in": "90d"}
            return bool(SECRET.search(html_of(self.client.post(MINT, sent))))
        return bool(SECRET.search(html_of(mint(self.client, self.key.service_user))))

    def rotate(self) -> bool:
        rotate(self.client, self.key)
        return self.row().rotated_at is not None

    def rotate_at_once(self) -> bool:
        rotate(self.client, self.key, overlap="now")
        return self.row().rotated_at is not None

    def revoke(self) -> bool:
        act(self.client, "revoke", self.key)
        return self.row().revoked_at is not None

    def disable(self) -> bool:
        act(self.client, "disable", self.key)
        return not self.row().enabled

    def enable(self) -> bool:
        APIKey.objects.filter(pk=self.key.pk).update(enabled=False)
        act(self.client, "enable", self.key)
        return self.row().enabled

    def rename(self) -> bool:
        self.client.post(f"{KEYS}{self.key.pk}/change/", {"name": "renamed"})
        return self.row().name == "renamed"

    def widen(self) -> bool:
        """Change anything that a key may do, is, or belongs to."""
        before = APIKey.objects.filter(pk=self.key.pk).values()[0]
        other = create_service_user("other")
        given = {
            "permissions": '{"*": ["*"]}', "scopes": "*", "service_user": other.pk, "owner": 7,
            "expires_at_0": "2040-01-01", "expires_at_1": "00:00", "expires_at": "2040-01-01",
            "networks": "[]", "enabled": "on", "remaining": "5", "metadata": "{}", "name": "",
            "digest": "0" * 64, "preview": "x", "revoked_at": "", "created_by": 1, "id": 1,
        }  # fmt: skip
        self.client.post(f"{KEYS}{self.key.pk}/change/", given)
        return APIKey.objects.filter(pk=self.key.pk).values()[0] != before

    def delete_a_live_key(self) -> bool:
        return self._delete()

    def delete_a_dead_key(self) -> bool:
        APIKey.objects.filter(pk=self.key.pk).update(revoked_at=timezone.now())
        return self._delete()

    def delete_a_live_key_by_the_list(self) -> bool:
        chosen = {"action": "delete_selected", "_selected_action": self.key.pk, "post": "yes"}
        self.client.post(KEYS, chosen)
        return not APIKey.objects.filter(pk=self.key.pk).exists()

    def create_a_service_user(self) -> bool:
        self.client.post(f"{SERVICE_USERS}add/", {"name": "builder", "description": ""})
        return ServiceUser.objects.filter(name="builder").exists()

    def deactivate_a_service_user(self) -> bool:
        act(self.client, "deactivate", self.key.service_user, base=SERVICE_USERS)
        return not ServiceUser.objects.get(pk=self.key.service_user_id).is_active

    def delete_a_service_user_with_keys(self) -> bool:
        path = f"{SERVICE_USERS}{self.key.service_user_id}/delete/"
        self.client.post(path, {"post": "yes"})
        return not ServiceUser.objects.filter(pk=self.key.service_user_id).exists()

    def export_the_audit(self) -> bool:
        return self.client.get(f"{EVENTS}export/").status_code == 200

    def change_the_audit(self) -> bool:
        event = AuditEvent.objects.first()
        assert event is not None
        answers = [
            self.client.post(f"{EVENTS}{event.pk}/change/", {"subject": "x"}),
            self.client.post(f"{EVENTS}{event.pk}/delete/", {"post": "yes"}),
            self.client.get(f"{EVENTS}add/"),
        ]
        return any(answer.status_code == 200 for answer in answers) or _is_changed(event)

    def _delete(self) -> bool:
        self.client.post(f"{KEYS}{self.key.pk}/delete/", {"post": "yes"})
        return not APIKey.objects.filter(pk=self.key.pk).exists()


def _is_changed(event: AuditEvent) -> bool:
    return AuditEvent.objects.filter(pk=event.pk, subject=event.subject).count() != 1


SEE = {"list", "look", "read_history", "find_a_secret"}
MAY: dict[str, set[str]] = {
    "nobody": set(),
    "viewer": SEE,
    "changer": SEE | {"rename"},
    "minter": SEE | {"mint_a_key", "rotate", "enable"},
    "blind minter": SEE | {"rotate", "enable"},
    "revoker": SEE | {"revoke", "disable"},
    "deleter": SEE | {"delete_a_dead_key"},
    "adder": SEE,
    "machine-keeper": {"create_a_service_user", "deactivate_a_service_user"},
    "auditor": {"export_the_audit"},
}
EVERYTHING = {name for name in vars(Acts) if not name.startswith("_") and name != "row"}
NOBODY_MAY = {
    "widen",
    "delete_a_live_key",
    "delete_a_live_key_by_the_list",
    "delete_a_service_user_with_keys",
    "change_the_audit",
}


def done_by(client: Client, mint: Mint) -> set[str]:
    """What of everything it does, each tried as if it were the first."""
    acts, done = Acts(client, mint), set()
    for tried in sorted(EVERYTHING):
        with transaction.atomic():
            if getattr(acts, tried)():
                done.add(tried)
            transaction.set_rollback(True)
    return done


@pytest.mark.parametrize("role", sorted(ROLES))
def test_staff_do_what_they_have_the_permission_for(staff: Staff, mint: Mint, role: str) -> None:
    assert done_by(staff(*ROLES[role]), mint) == MAY[role]


def test_a_superuser_does_everything_but_what_nobody_may(superuser: Client, mint: Mint) -> None:
    assert done_by(superuser, mint) == EVERYTHING - NOBODY_MAY


def test_who_is_no_staff_does_nothing(make_user: Any, mint: Mint) -> None:
    client = browser_of(make_user("visitor"))
    # Staff are answered with a redirect, too.
    assert done_by(client, mint) <= {"find_a_secret"}
    answer = client.post(f"{KEYS}find/", {"secret": "x"})
    assert answer["Location"].startswith("/admin/login/")


def test_whoever_may_rotate_and_revoke_may_rotate_at_once(staff: Staff, mint: Mint) -> None:
    keeper = staff("view_apikey", "mint_apikey", "revoke_apikey", "grant_any_scope")
    assert Acts(keeper, mint).rotate_at_once()


BUTTONS = {
    "viewer": set(),
    "changer": {"save"},
    "minter": {"add", "rotate"},
    "revoker": {"revoke", "disable"},
    "deleter": set(),
    "adder": set(),
}
MARKS = {
    "add": "/apikey/add/",
    "rotate": "act/rotate/",
    "revoke": "act/revoke/",
    "disable": "act/disable/",
    "enable": "act/enable/",
    "save": 'name="_save"',
    "delete": 'class="deletelink"',
}


@pytest.mark.parametrize("role", sorted(BUTTONS))
def test_there_is_a_button_for_what_is_permitted_and_no_other(
    staff: Staff, mint: Mint, role: str
) -> None:
    client, key = staff(*ROLES[role]), mint().key
    html = html_of(client.get(KEYS)) + html_of(client.get(f"{KEYS}{key.pk}/change/"))
    assert {name for name, mark in MARKS.items() if mark in html} == BUTTONS[role]


@pytest.mark.parametrize("role", sorted(BUTTONS))
def test_the_list_offers_the_actions_that_are_permitted(
    staff: Staff, mint: Mint, role: str
) -> None:
    mint()
    html = html_of(staff(*ROLES[role]).get(KEYS))
    offered = {
        name for name in ("rotate", "revoke", "disable") if f'<option value="{name}"' in html
    }
    assert offered == BUTTONS[role] & {"rotate", "revoke", "disable"}


@pytest.mark.parametrize("confirmed", [{}, {"post": "yes"}])
def test_why_a_live_key_is_not_deleted_is_said(
    staff: Staff, mint: Mint, confirmed: dict[str, str]
) -> None:
    client, key = staff(*ROLES["deleter"]), mint().key
    told = f"{key} is still alive: revoke it first."
    by_url = client.post(f"{KEYS}{key.pk}/delete/", confirmed)
    assert (by_url["Location"], messages_of(by_url)) == (f"{KEYS}{key.pk}/change/", [told])
    chosen = {"action": "delete_selected", "_selected_action": key.pk, **confirmed}
    by_list = client.post(f"{KEYS}?state=active", chosen)
    assert by_list["Location"] == f"{KEYS}?state=active"
    assert messages_of(by_list)[-1] == told


def test_who_may_only_mint_is_led_to_no_page_that_is_refused(
    staff: Staff, service_user: ServiceUser
) -> None:
    minter = staff("mint_apikey", "view_serviceuser", "grant_any_scope")
    response = mint(minter, service_user)
    assert SECRET.search(html_of(response))
    assert f'href="{KEYS}"' not in html_of(response)
    assert '<a href="/admin/" class="button default">' in html_of(response)


def test_a_key_that_is_over_can_be_deleted_by_the_list(staff: Staff, mint: Mint) -> None:
    client, key = staff(*ROLES["deleter"]), mint().key
    APIKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    client.post(KEYS, {"action": "delete_selected", "_selected_action": key.pk, "post": "yes"})
    assert not APIKey.objects.exists()
    event = AuditEvent.objects.get(action="key_deleted")
    assert event.subject == f"{key} of sandbox-runtime"
