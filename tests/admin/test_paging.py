"""Lists of any length: they are counted and paged up to a bound, and sorted by indexes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pikku_auth.admin import few, paging
from pikku_auth.flows import deactivate_service_user, revoke_key
from pikku_auth.models import APIKey, ServiceUser
from tests.admin.pages import EVENTS, KEYS, LOGINS, SERVICE_USERS, html_of, many_keys, messages_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def _at_most_100(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are counted."""
    monkeypatch.setattr(paging, "MOST", 100)
    monkeypatch.setattr(paging.BoundedChangeList, "most", paging.Count(100))


def paginator_of(html: str) -> str:
    """The line below the list, without markup."""
    start = html.index('class="paginator')
    end = html.index("</div>", start) if "</nav>" in html[start:] else html.index("</p>", start)
    return " ".join(re.sub("<[^>]+>", " ", html[html.index(">", start) + 1 : end]).split())


@pytest.mark.usefixtures("_at_most_100")
class TestBeyondTheBound:
    """Of a list that is longer than what is counted."""

    @pytest.fixture(autouse=True)
    def _keys(self, service_user: ServiceUser) -> None:
        many_keys(service_user, 120)

    def test_it_says_that_there_are_more(self, superuser: Client) -> None:
        html = html_of(superuser.get(KEYS, {"state": "active"}))
        assert "more than 100 API keys" in paginator_of(html)
        assert "more than 100 results" in " ".join(html.split())

    def test_it_says_what_to_do_about_the_others(self, superuser: Client) -> None:
        told = "These pages show the first 100. Filter or search to see the others."
        assert told in html_of(superuser.get(KEYS))

    def test_the_last_page_ends_at_the_bound(self, superuser: Client) -> None:
        newest = list(APIKey.objects.order_by("-pk")[50:100])
        assert list(superuser.get(KEYS, {"p": 2}).context["cl"].result_list) == newest

    def test_there_is_no_page_behind_it(self, superuser: Client) -> None:
        assert superuser.get(KEYS, {"p": 3})["Location"] == f"{KEYS}?e=1"

    def test_no_statement_counts_or_skips_more(self, superuser: Client) -> None:
        with CaptureQueriesContext(connection) as captured:
            superuser.get(KEYS, {"p": 2, "state": "active"})
        counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
        assert counts == []
        assert not [query["sql"] for query in captured if "OFFSET" in query["sql"]]

    def test_choosing_all_of_them_is_too_many(
        self, superuser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pikku_auth.admin.actions.MOST", 10)
        chosen = {"action": "revoke", "select_across": 1, "_selected_action": 1}
        (told,) = messages_of(superuser.post(f"{KEYS}?state=active", chosen))
        assert told.startswith("You chose more than 100 rows, and at most 10 go at once")

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="only it has an estimate")
    def test_a_whole_table_is_estimated(self, superuser: Client) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE pikku_auth_apikey")
        html = html_of(superuser.get(KEYS))
        assert "about 120 API keys" in paginator_of(html)
        assert "first 100" in html

    def test_a_filter_that_leaves_few_has_them_counted(self, superuser: Client) -> None:
        for key in APIKey.objects.all()[:3]:
            revoke_key(key)
        html = html_of(superuser.get(KEYS, {"state": "revoked"}))
        assert paginator_of(html).endswith("3 API keys")
        assert "pikku-cut" not in html

    def test_in_german(self, superuser: Client, settings: Any) -> None:
        settings.LANGUAGE_CODE = "de"
        html = html_of(superuser.get(KEYS, {"state": "active"}))
        assert "mehr als 100 API-Schlüssel" in paginator_of(html)
        assert "Diese Seiten zeigen die ersten 100." in html


@pytest.mark.usefixtures("_at_most_100")
def test_a_list_of_as_many_as_are_counted_is_whole(
    superuser: Client, service_user: ServiceUser
) -> None:
    many_keys(service_user, 100)
    html = html_of(superuser.get(KEYS))
    assert paginator_of(html).endswith("1 2 100 API keys Show all")
    assert "pikku-cut" not in html


@pytest.mark.parametrize("separator", [True, False])
def test_a_large_number_is_written_in_groups(
    superuser: Client, service_user: ServiceUser, settings: Any, separator: bool
) -> None:
    settings.USE_THOUSAND_SEPARATOR = separator
    many_keys(service_user, 1_234)
    assert "1,234 API keys" in paginator_of(html_of(superuser.get(KEYS)))


class TestSorting:
    """By what has an index, both ways round."""

    @pytest.fixture(autouse=True)
    def _keys(self, service_user: ServiceUser) -> None:
        now = timezone.now()
        for number, key in enumerate(many_keys(service_user, 4)):
            key.name, key.expires_at = "ab"[number % 2], now + timezone.timedelta(days=number)
            key.save()

    def ids(self, client: Client, order: str) -> list[int]:
        return [key.pk for key in client.get(KEYS, {"o": order}).context["cl"].result_list]

    def test_by_name_and_of_equal_names_the_older_first(self, superuser: Client) -> None:
        by_name = sorted(APIKey.objects.all(), key=lambda key: (key.name, key.pk))
        ids = [key.pk for key in by_name]
        assert self.ids(superuser, "1") == ids
        assert self.ids(superuser, "-1") == ids[::-1]

    def test_by_expiry(self, superuser: Client) -> None:
        ids = list(APIKey.objects.order_by("expires_at").values_list("pk", flat=True))
        assert self.ids(superuser, "6") == ids
        assert self.ids(superuser, "-6") == ids[::-1]

    def test_by_one_column_at_a_time(self, superuser: Client) -> None:
        assert self.ids(superuser, "1.-6") == self.ids(superuser, "1")
        assert 'class="sortpriority"' not in html_of(superuser.get(KEYS, {"o": "1.-6"}))

    @pytest.mark.parametrize("order", ["2", "3", "-4", "5", "99", "x", "5.1"])
    def test_by_nothing_else(self, superuser: Client, order: str) -> None:
        assert self.ids(superuser, order) in (self.ids(superuser, ""), self.ids(superuser, "1"))


@pytest.mark.parametrize("base", [KEYS, LOGINS, SERVICE_USERS, EVENTS])
def test_no_list_counts_the_rows_of_each_filter(superuser: Client, base: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        html = html_of(superuser.get(base, {"_facets": "True"}))
    assert not [query for query in captured if query["sql"].startswith("SELECT COUNT(")]
    assert "Show counts" not in html


@pytest.mark.skipif(connection.vendor == "mysql", reason="it counts them all")
class TestAServiceUserWithManyKeys:
    """Only some of them are looked at."""

    @pytest.fixture(autouse=True)
    def _at_most_10(self, monkeypatch: pytest.MonkeyPatch, service_user: ServiceUser) -> None:
        monkeypatch.setattr(few, "MOST_OF_ONE", 10)
        monkeypatch.setattr("pikku_auth.admin.service_users.MOST_OF_ONE", 10)
        many_keys(service_user, 11)
        APIKey.objects.update(last_used_at=timezone.now())

    def test_is_said_to_have_more(self, superuser: Client) -> None:
        html = html_of(superuser.get(SERVICE_USERS))
        assert "more than 10 keys" in html
        assert "just now" not in html

    def test_is_counted_up_to_there(self, superuser: Client) -> None:
        APIKey.objects.latest("pk").delete()
        html = html_of(superuser.get(SERVICE_USERS))
        assert "10 active keys" in html
        assert "just now" in html


def test_a_stopped_service_user_has_no_active_keys(
    superuser: Client, service_user: ServiceUser
) -> None:
    many_keys(service_user, 2)
    assert "2 active keys" in html_of(superuser.get(SERVICE_USERS))
    deactivate_service_user(service_user)
    assert "0 active keys" in html_of(superuser.get(SERVICE_USERS))


@pytest.mark.usefixtures("_at_most_100")
def test_choosing_a_service_user_by_typing_pages_as_far(
    superuser: Client, service_user: ServiceUser
) -> None:
    ServiceUser.objects.bulk_create(
        ServiceUser(name=f"m{number}", created_at=timezone.now()) for number in range(120)
    )
    query = {"app_label": "pikku_auth", "model_name": "apikey", "field_name": "service_user"}
    pages = [
        superuser.get("/admin/autocomplete/", {**query, "term": "m", "page": page}).json()
        for page in (1, 5)
    ]
    assert [page["pagination"]["more"] for page in pages] == [True, False]
