"""What is kept of people, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from pikku_auth.admin.history import told
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    create_service_user,
    forget_human,
    prune,
    revoke_key,
    revoke_login,
)
from pikku_auth.models import AuditEvent, LoginSession, ServiceUser
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

MakeUser = Callable[..., Any]
Mint = Callable[..., IssuedKey]
Output = pytest.CaptureFixture[str]

DAY = timedelta(days=1)
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
FROM_THERE = AuditContext(ip="192.0.2.7", user_agent="pikku-cli/1")


def by(actor: Any) -> AuditContext:
    return AuditContext(source="web", actor=actor, ip="192.0.2.8", user_agent="Firefox")


def texts() -> str:
    """All that the audit trail and the logins say."""
    return repr([list(model._default_manager.values()) for model in (AuditEvent, LoginSession)])


class TestForgettingAHuman:
    """Their name, addresses and user agents go; what was done stays."""

    def test_nothing_of_them_is_left_and_all_of_others(
        self, make_user: MakeUser, mint: Mint
    ) -> None:
        ada, bob = make_user("ada"), make_user("bob")
        login = logged_in(ada, context=FROM_THERE).login
        logged_in(ada, context=FROM_THERE)
        revoke_key(mint().key, context=by(ada))
        revoke_login(login, context=by(bob))
        kept = logged_in(bob, context=FROM_THERE).login
        actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
        name, other = ada.get_username(), bob.get_username()
        assert forget_human(ada) == 6
        ada.delete()
        assert name not in texts()
        started, ended = (
            AuditEvent.objects.filter(action=action, subject__endswith="of a forgotten human")
            for action in ("login_started", "login_revoked")
        )
        assert [event.ip for event in started] == [None, None]
        (one,) = ended
        assert (one.actor_name, one.ip, one.user_agent) == (other, "192.0.2.8", "Firefox")
        revoked = AuditEvent.objects.get(action="key_revoked")
        assert (revoked.actor_name, revoked.ip) == ("a forgotten human", None)
        kept.refresh_from_db()
        assert (kept.ip, kept.user_agent) == ("192.0.2.7", "pikku-cli/1")
        events = AuditEvent.objects.order_by("pk")
        assert [event.action for event in events] == [*actions, "human_forgotten"]
        assert told(events.latest("pk")) == "Human forgotten: 6 events changed"

    def test_events_about_logins_that_were_pruned_are_theirs_too(self, make_user: MakeUser) -> None:
        ada, bob = make_user("ada"), make_user("bob")
        revoke_login(logged_in(ada).login, context=by(bob), now=timezone.now())
        LoginSession.objects.all().delete()
        forget_human(ada)
        assert ada.get_username() not in texts()

    def test_a_name_that_did_not_fit_is_forgotten_as_far_as_it_did(
        self, make_user: MakeUser
    ) -> None:
        ada, bob = make_user(f"ada{'a' * 100}"), make_user(f"bob{'b' * 100}")
        revoke_login(logged_in(bob, client_id="x" * 180).login, context=by(ada))
        logged_in(ada, client_id="x" * 180)
        forget_human(ada)
        assert "adaaa" not in texts()
        assert "bobbb" in AuditEvent.objects.get(action="login_revoked").subject

    def test_a_name_that_ends_alike_is_another(self, make_user: MakeUser) -> None:
        ada, other = make_user("ada"), make_user("x of ada")
        logged_in(other, context=FROM_THERE)
        before = texts()
        assert forget_human(ada) == 0
        AuditEvent.objects.filter(action="human_forgotten")._raw_delete("default")
        assert texts() == before

    def test_who_stays_has_their_logins_without_addresses(self, make_user: MakeUser) -> None:
        ada = make_user("ada")
        login = logged_in(ada, context=FROM_THERE).login
        forget_human(ada)
        login.refresh_from_db()
        assert (login.ip, login.user_agent, login.revoked_at) == (None, "", None)

    def test_a_machine_is_none(self, service_user: ServiceUser) -> None:
        before = texts()
        user: Any = service_user.user
        assert forget_human(user) == 0
        assert texts() == before


class TestPruning:
    """``prune_auth --addresses-older-than``."""

    @pytest.fixture(autouse=True)
    def _rows(self, make_user: MakeUser) -> None:
        ada = make_user()
        for days in (101, 10):
            login = logged_in(ada, context=FROM_THERE, now=NOW - days * DAY).login
            LoginSession.objects.filter(pk=login.pk).update(last_used_ip="192.0.2.9")
        create_service_user("builder", context=by(ada), now=NOW - 5 * DAY)

    def addresses(self) -> list[Any]:
        """Of the events, and of the logins."""
        events = AuditEvent.objects.exclude(action="pruned").order_by("pk")
        logins = LoginSession.objects.order_by("pk")
        return [
            *((event.ip, event.user_agent) for event in events),
            *((login.ip, login.user_agent, login.last_used_ip) for login in logins),
        ]

    def test_nothing_is_erased_unless_it_is_asked_for(self) -> None:
        before = self.addresses()
        pruned = prune(keys_older_than=365 * DAY, events_older_than=400 * DAY, now=NOW)
        assert (pruned.addresses, self.addresses()) == (0, before)

    def test_those_of_old_events_and_of_logins_that_ended_are_erased(self) -> None:
        before = self.addresses()
        pruned = prune(
            keys_older_than=365 * DAY,
            events_older_than=400 * DAY,
            addresses_older_than=90 * DAY,
            now=NOW,
        )
        after = self.addresses()
        changed = [new for old, new in zip(before, after, strict=True) if old != new]
        assert pruned.addresses == len(changed) == 2
        assert changed == [(None, ""), (None, "", None)]
        event = AuditEvent.objects.get(action="pruned")
        assert told(event) == "Pruned: 0 keys, 0 logins, 0 events; 2 addresses erased"

    def test_the_command_says_how_many(self, capsys: Output) -> None:
        call_command(
            "prune_auth", "--keys-older-than", "9999d", "--events-older-than", "9999d",
            "--addresses-older-than", "1s",
        )  # fmt: skip
        said = capsys.readouterr().err.splitlines()
        assert said[1].startswith("Erased where from in ")

    def test_it_keeps_to_the_limit_and_goes_on(self) -> None:
        years = {"keys_older_than": 365 * DAY, "events_older_than": 400 * DAY}
        bounded = prune(**years, addresses_older_than=DAY, limit=4, now=NOW)
        assert not bounded.is_done
        rest = prune(**years, addresses_older_than=DAY, now=NOW)
        assert rest.addresses > 0
        assert rest.is_done
        erased = [cells[:2] for cells in self.addresses()][:7]
        assert set(erased) == {(None, "")}
