"""The audit trail in the admin: read, filter, take along; and history in words."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import datetime
from html import escape
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.admin.history import told
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    revoke_key,
    rotate_key,
)
from pikku_auth.models import AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import EVENTS, KEYS, LOGINS, SERVICE_USERS, html_of
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


@pytest.fixture
def auditor(staff: Staff) -> Client:
    return staff("view_auditevent")


def exported(client: Client, **query: Any) -> list[dict[str, str]]:
    response: Any = client.get(f"{EVENTS}export/", query)
    assert response.status_code == 200
    return list(csv.DictReader(StringIO(response.getvalue().decode())))


class TestTheList:
    """What was done, by whom, from which source and address."""

    def test_tells_each_event_in_words(self, auditor: Client, mint: Mint) -> None:
        context = AuditContext("command", actor_name="root", ip="192.0.2.7")
        revoke_key(mint(name="ci").key, reason="leaked", context=context)
        html = html_of(auditor.get(EVENTS))
        for text in ("Key revoked: leaked", "command", "root", "192.0.2.7", "ci (pka_"):
            assert text in html

    def test_says_when_to_the_second_with_the_zone(
        self, auditor: Client, mint: Mint, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        with freeze_time("2026-11-26 12:27:05"):
            mint()
        event = AuditEvent.objects.latest("pk")
        for page in (EVENTS, f"{EVENTS}{event.pk}/change/"):
            html = html_of(auditor.get(page))
            assert "<span>2026-11-26</span> <span>13:27:05 CET</span>" in html

    def test_cuts_what_is_long_and_has_it_whole_in_the_tooltip_and_on_the_page(
        self, auditor: Client, mint: Mint
    ) -> None:
        key, reason = mint(name="n" * 200).key, "r" * 200
        revoke_key(key, reason=reason)
        event = AuditEvent.objects.latest("pk")
        rows, page = (
            html_of(auditor.get(EVENTS)),
            html_of(auditor.get(f"{EVENTS}{event.pk}/change/")),
        )
        assert f'<span title="Key revoked: {reason}">Key revoked: {"r" * 31}…</span>' in rows
        assert f">{'n' * 20}…" in rows
        assert f"({key.preview}…) of sandbox-runtime</span>" in rows
        for text in (f"Key revoked: {reason}", escape(event.subject)):
            assert f">{text}<" in page

    def test_filters_by_action_source_and_row(self, auditor: Client, mint: Mint) -> None:
        key = mint().key
        revoke_key(key, context=AuditContext("admin"))
        mint()
        for query, count in (
            ({"action__exact": "key_minted"}, 2),
            ({"source__exact": "admin"}, 1),
            ({"key__id__exact": key.pk}, 2),
            ({"service_user__id__exact": key.service_user_id}, 4),
        ):
            assert len(auditor.get(EVENTS, query).context["cl"].result_list) == count

    @pytest.mark.parametrize("lookup", ["key__digest__startswith", "actor__password__startswith"])
    def test_filters_by_nothing_secret(self, auditor: Client, mint: Mint, lookup: str) -> None:
        mint()
        assert auditor.get(EVENTS, {lookup: "a"}).status_code == 400

    def test_costs_the_same_for_a_thousand(
        self, auditor: Client, django_assert_num_queries: Any
    ) -> None:
        auditor.get(EVENTS)
        for count in (10, 990):
            _many(count)
            with django_assert_num_queries(8):
                auditor.get(EVENTS)


class TestTheExport:
    """A CSV file of what the list shows."""

    def test_has_every_event_with_the_newest_first(self, auditor: Client, mint: Mint) -> None:
        revoke_key(mint().key, reason="leaked", context=AuditContext("command", actor_name="root"))
        rows = exported(auditor)
        assert [row["action"] for row in rows] == [
            "key_revoked",
            "key_minted",
            "service_user_created",
        ]
        assert (rows[0]["what"], rows[0]["actor"]) == ("Key revoked: leaked", "root")

    def test_has_the_ids_of_the_rows_that_an_event_is_about(
        self, auditor: Client, mint: Mint, make_user: Any
    ) -> None:
        key, ada = mint().key, make_user("ada")
        successor = rotate_key(key, context=AuditContext("code", ada)).key
        login = logged_in(ada).login
        rows = {row["action"]: row for row in exported(auditor)}
        ids = ("service_user_id", "key_id", "login_id", "actor_id")
        rotated, started = rows["key_rotated"], rows["login_started"]
        owner = str(key.service_user_id)
        assert [rotated[name] for name in ids] == [owner, str(key.pk), "", str(ada.pk)]
        assert json.loads(rotated["details"])["successor"] == successor.pk
        assert [started[name] for name in ids] == ["", "", str(login.pk), ""]
        assert {int(row["id"]) for row in exported(auditor)} == {
            *AuditEvent.objects.values_list("pk", flat=True)
        }

    def test_has_what_the_filter_leaves(self, auditor: Client, mint: Mint) -> None:
        revoke_key(mint().key)
        assert [row["action"] for row in exported(auditor, action__exact="key_revoked")] == [
            "key_revoked"
        ]
        html = html_of(auditor.get(EVENTS, {"action__exact": "key_revoked"}))
        assert "export/?action__exact=key_revoked" in html

    @pytest.mark.parametrize(
        "query",
        [
            {"at__gte": "zzz"},
            {"key__id__exact": "abc"},
            {"service_user__id__exact": "x"},
            {"p": "99999"},
            {"at__year": "x"},
            {"nonsense": "1"},
        ],
    )
    def test_of_nonsense_leads_back_to_the_list(
        self, auditor: Client, mint: Mint, query: dict[str, str]
    ) -> None:
        """As the list itself does."""
        _many(120, mint().key.service_user)
        response = auditor.get(f"{EVENTS}export/", query)
        assert (response.status_code, response["Location"]) == (302, f"{EVENTS}?e=1")

    def test_is_of_all_pages(self, auditor: Client) -> None:
        _many(120)
        html = html_of(auditor.get(EVENTS, {"p": "2", "source__exact": "code"}))
        assert 'href="export/?source__exact=code"' in html
        assert 'href="export/"' in html_of(auditor.get(EVENTS))

    def test_is_a_file(self, auditor: Client) -> None:
        response = auditor.get(f"{EVENTS}export/")
        assert response["Content-Disposition"].startswith('attachment; filename="audit-')

    def test_has_no_formula(self, auditor: Client, mint: Mint) -> None:
        revoke_key(mint().key, context=AuditContext("admin", actor_name="=cmd()", user_agent="@x"))
        row = exported(auditor)[0]
        assert (row["actor"], row["user_agent"]) == ("'=cmd()", "'@x")

    def test_asks_once_however_many_there_are(
        self, auditor: Client, django_assert_max_num_queries: Any
    ) -> None:
        _many(3_000)
        with django_assert_max_num_queries(8):
            assert len(exported(auditor)) == 3_000


class TestHistory:
    """The page of a row tells its story, whatever the source of each act."""

    def test_of_a_key(self, superuser: Client, mint: Mint) -> None:
        key = mint(scopes=["sandbox:read"]).key
        rotate_key(key, context=AuditContext("command", actor_name="root"))
        html = html_of(superuser.get(f"{KEYS}{key.pk}/history/"))
        assert "Key minted: sandbox:read; expires" in html
        assert "it lives on for 1 day" in html
        assert "root" in html

    def test_of_a_service_user_has_that_of_its_keys(self, superuser: Client, mint: Mint) -> None:
        key = mint().key
        html = html_of(superuser.get(f"{SERVICE_USERS}{key.service_user_id}/history/"))
        assert "Service user created" in html
        assert "Key minted" in html

        assert f"{key} of sandbox-runtime" in html

    def test_leads_to_its_events_where_they_may_be_seen(
        self, superuser: Client, staff: Staff, mint: Mint, make_user: Any
    ) -> None:
        key, login = mint().key, logged_in(make_user("ada")).login
        for base, link, pk in (
            (KEYS, "key", key.pk),
            (LOGINS, "login", login.pk),
            (SERVICE_USERS, "service_user", key.service_user_id),
        ):
            trail = f"{EVENTS}?{link}__id__exact={pk}"
            assert f'href="{trail}"' in html_of(superuser.get(f"{base}{pk}/history/"))
            assert superuser.get(trail).context["cl"].result_list
        viewer = staff("view_apikey")
        assert EVENTS not in html_of(viewer.get(f"{KEYS}{key.pk}/history/"))

    def test_of_a_login(self, superuser: Client, make_user: Any) -> None:
        login = logged_in(make_user("ada"), scope="sandbox:read").login
        html = html_of(superuser.get(f"{LOGINS}{login.pk}/history/"))
        assert "Login started: sandbox:read" in html

    def test_of_an_event_there_is_none(self, superuser: Client, mint: Mint) -> None:
        mint()
        event = AuditEvent.objects.latest("pk")
        assert "Nothing is recorded" in html_of(superuser.get(f"{EVENTS}{event.pk}/history/"))

    def test_that_is_long_says_where_the_rest_is(
        self, superuser: Client, service_user: ServiceUser
    ) -> None:
        _many(250, service_user=service_user)
        html = html_of(superuser.get(f"{SERVICE_USERS}{service_user.pk}/history/"))
        assert html.count('<th scope="row">') == 200
        assert "These are the newest 200" in html


@pytest.mark.parametrize(
    ("action", "details", "words"),
    [
        ("key_minted", {"scopes": [], "expires_at": None}, "Key minted: no scopes; never expires"),
        ("key_rotated", {"overlap_seconds": 0, "successor": 7}, "Key rotated: at once, by key 7"),
        (
            "key_rotated",
            {"overlap_seconds": 5_400, "successor": 7},
            "Key rotated: by key 7; it lives on for 1h30m",
        ),
        (
            "key_rotated",
            {"overlap_seconds": 7_200, "successor": 7},
            "Key rotated: by key 7; it lives on for 2 hours",
        ),
        ("key_revoked", {"reason": ""}, "Key revoked"),
        ("key_disabled", {}, "Key disabled"),
        ("service_user_created", {"adopted": True}, "Service user created: of an existing user"),
        ("service_user_created", {"adopted": False}, "Service user created"),
        ("login_revoked", {"reason": "lost laptop"}, "Login ended: lost laptop"),
        ("pruned", {"keys": 1, "logins": 2, "events": 3}, "Pruned: 1 keys, 2 logins, 3 events"),
    ],
)
def test_an_event_is_a_sentence(action: str, details: Any, words: str) -> None:
    assert told(AuditEvent(action=action, details=details)) == words


@pytest.mark.parametrize("action", AuditEvent.Action.values)
def test_every_event_is_one(action: str) -> None:
    assert told(AuditEvent(action=action, details={}))


class TestTheBarOfDates:
    """Years, months and days between the first event and the last, as the site's zone has them."""

    def bar(self, client: Client, **query: Any) -> list[str]:
        html = html_of(client.get(EVENTS, query))
        start = html.index('<nav class="toplinks"')
        bar = re.sub("<span.*</span>", "", html[start : html.index("</nav>", start)])  # Django 6.1
        return [text.strip() for text in re.findall(r">([^<]+)<", f"{bar}<") if text.strip()]

    @pytest.fixture(autouse=True)
    def _events(self, settings: Any) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        for day in ("2025-12-30T12", "2026-02-27T12", "2026-02-28T23:30"):
            _many(1, at=datetime.fromisoformat(f"{day}+00:00"))

    def test_begins_with_the_years(self, auditor: Client) -> None:
        assert self.bar(auditor) == ["2025", "2026"]

    def test_of_a_year_has_the_months_up_to_the_last_event(self, auditor: Client) -> None:
        shown = self.bar(auditor, at__year=2026)
        assert shown == ["&lsaquo; All dates", "January 2026", "February 2026", "March 2026"]

    def test_of_a_month_has_the_days_from_the_first_event_on(self, auditor: Client) -> None:
        shown = self.bar(auditor, at__year=2025, at__month=12)
        assert shown == ["&lsaquo; 2025", "December 30", "December 31"]

    def test_of_a_day_leads_back_to_the_month(self, auditor: Client) -> None:
        query = {"at__year": 2026, "at__month": 3, "at__day": 1}
        assert self.bar(auditor, **query) == ["&lsaquo; March 2026", "March 1"]
        assert len(auditor.get(EVENTS, query).context["cl"].result_list) == 1

    def test_keeps_the_filter(self, auditor: Client) -> None:
        html = html_of(auditor.get(EVENTS, {"source__exact": "code"}))
        assert 'href="?at__year=2025&amp;source__exact=code"' in html

    def test_of_one_month_begins_with_its_days(self, auditor: Client) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM pikku_auth_auditevent")
        for day in (26, 27):
            _many(1, at=datetime.fromisoformat(f"2026-02-{day}T12:00+00:00"))
        assert self.bar(auditor) == ["&lsaquo; 2026", "February 26", "February 27"]


def test_a_list_without_events_has_no_bar_of_dates(auditor: Client) -> None:
    assert "toplinks" not in html_of(auditor.get(EVENTS))


def test_offers_the_sources_of_the_newest_events(auditor: Client) -> None:
    for source in ("code", "web"):
        _many(1, source=source)
    html = html_of(auditor.get(EVENTS))
    assert 'href="?source=code"' in html
    assert 'href="?source=web"' in html


def _many(count: int, service_user: ServiceUser | None = None, **changes: Any) -> None:
    event = {
        "action": "key_minted", "subject": "x", "source": "code", "service_user": service_user,
        "at": timezone.now(), **changes,
    }  # fmt: skip
    AuditEvent.objects.bulk_create(AuditEvent(**event) for _ in range(count))
