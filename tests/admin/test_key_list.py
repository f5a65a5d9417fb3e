"""The list of keys: what it says, what it finds, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from pikku_auth.core.limits import parse_rate
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    mint_key,
    revoke_key,
    rotate_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, MINT, SERVICE_USERS, USERS, html_of, many_keys
from tests.conftest import pikku_settings

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
DAY = timedelta(days=1)


@pytest.fixture
def viewer(staff: Staff) -> Client:
    return staff("view_apikey", "view_serviceuser")


def listed(client: Client, **query: Any) -> list[str]:
    """The names of the keys on the list."""
    response = client.get(KEYS, query)
    assert response.status_code == 200
    return [key.name for key in response.context["cl"].result_list]


def shown_state(client: Client, key: APIKey) -> str:
    html = html_of(client.get(f"{KEYS}{key.pk}/change/"))
    start = html.index('class="pikku-state pikku-')
    return html[html.index(">", start) + 1 : html.index("<", start)]


class TestTheStateIsAWord:
    """One that says what to do."""

    def test_of_a_live_key(self, viewer: Client, mint: Mint) -> None:
        assert shown_state(viewer, mint().key) == "active"

    @pytest.mark.parametrize(
        ("lifetime", "left", "word"),
        [
            (90 * DAY, 15 * DAY, "active"),
            (90 * DAY, 14 * DAY, "expiring soon"),
            (4 * DAY, 2 * DAY, "active"),
            (4 * DAY, 1 * DAY, "expiring soon"),
        ],
    )
    def test_of_a_key_near_its_end(
        self, viewer: Client, mint: Mint, lifetime: timedelta, left: timedelta, word: str
    ) -> None:
        minted = timezone.now() - lifetime + left - timedelta(seconds=1)
        assert shown_state(viewer, mint(lifetime=lifetime, now=minted).key) == word

    def test_of_a_key_without_an_end(self, viewer: Client, mint: Mint) -> None:
        assert shown_state(viewer, mint(lifetime=None).key) == "active"

    def test_of_a_rotated_key(self, viewer: Client, mint: Mint) -> None:
        key = mint().key
        rotate_key(key)
        assert shown_state(viewer, key) == "expiring soon"

    def test_of_a_dead_key(self, viewer: Client, mint: Mint) -> None:
        expired, revoked, disabled = mint(now=timezone.now() - 91 * DAY).key, mint().key, mint().key
        revoke_key(revoked)
        disable_key(disabled)
        words = [shown_state(viewer, key) for key in (expired, revoked, disabled)]
        assert words == ["expired", "revoked", "disabled"]

    def test_of_a_used_up_key(self, viewer: Client, mint: Mint) -> None:
        key = mint(quota=1).key
        APIKey.objects.update(remaining=0)
        assert shown_state(viewer, key) == "quota used up"

    def test_of_a_key_whose_machine_is_stopped(
        self, viewer: Client, mint: Mint, service_user: ServiceUser
    ) -> None:
        key = mint().key
        deactivate_service_user(service_user)
        assert shown_state(viewer, key) == "owner inactive"


class TestMomentsAreWords:
    """With the exact moment for who asks."""

    @pytest.mark.parametrize(
        ("since", "words"),
        [
            (timedelta(seconds=3), "just now"),
            (timedelta(hours=3), "3\xa0hours ago"),
            (None, "never"),
        ],
    )
    def test_last_use(
        self, viewer: Client, mint: Mint, since: timedelta | None, words: str
    ) -> None:
        mint(name="ci")
        APIKey.objects.update(last_used_at=since and timezone.now() - since)
        assert words in html_of(viewer.get(KEYS))

    def test_the_end_lies_ahead_or_behind(self, viewer: Client, mint: Mint) -> None:
        mint(lifetime=3 * DAY + timedelta(hours=1))
        mint(lifetime=DAY, now=timezone.now() - 3 * DAY)
        html = html_of(viewer.get(KEYS))
        assert "in 3\xa0days" in html
        assert "2\xa0days ago" in html


class TestFilters:
    """Each narrows the list, and they go together."""

    def test_by_state(self, viewer: Client, mint: Mint) -> None:
        mint(name="live")
        revoke_key(mint(name="revoked").key)
        disable_key(mint(name="disabled").key)
        for state in ("revoked", "disabled"):
            assert listed(viewer, state=state) == [state]
        assert listed(viewer, state="active") == ["live"]

    @pytest.mark.parametrize(
        ("within", "names"),
        [("7", ["week"]), ("30", ["week", "month"]), ("90", ["week", "month", "quarter"])],
    )
    def test_by_how_soon_a_live_one_ends_and_the_next_comes_first(
        self, viewer: Client, mint: Mint, within: str, names: list[str]
    ) -> None:
        for name, days in (("week", 6), ("month", 29), ("quarter", 89), ("year", 365)):
            mint(name=name, lifetime=days * DAY)
        mint(name="over", lifetime=DAY, now=timezone.now() - 2 * DAY)
        revoke_key(mint(name="revoked", lifetime=6 * DAY).key)
        assert listed(viewer, expires=within) == names

    def test_of_the_expired_the_last_one_comes_first(self, viewer: Client, mint: Mint) -> None:
        for days in (5, 2, 9):
            mint(name=f"{days}", lifetime=DAY, now=timezone.now() - days * DAY)
        assert listed(viewer, state="expired") == ["2", "5", "9"]
        assert listed(viewer, state="expired", o="0") == ["2", "5", "9"]
        assert listed(viewer, state="expired", o="-0") == ["9", "5", "2"]

    def test_by_having_no_end(self, viewer: Client, mint: Mint) -> None:
        mint(name="long", lifetime=None)
        mint(name="short")
        assert listed(viewer, expires="never") == ["long"]

    def test_by_last_use(self, viewer: Client, mint: Mint) -> None:
        now = timezone.now()
        for name, used, minted in (
            ("today", timedelta(hours=1), 100 * DAY),
            ("month", 31 * DAY, 100 * DAY),
            ("quarter", 91 * DAY, 100 * DAY),
            ("never", None, 100 * DAY),
            ("new", None, DAY),
        ):
            key = mint(name=name, lifetime=None, now=now - minted).key
            APIKey.objects.filter(pk=key.pk).update(last_used_at=used and now - used)
        assert listed(viewer, used="day") == ["today"]
        assert listed(viewer, used="not30") == ["never", "quarter", "month"]
        assert listed(viewer, used="not90") == ["never", "quarter"]
        assert listed(viewer, used="never") == ["new", "never"]

    def test_by_service_user(self, viewer: Client, mint: Mint) -> None:
        builder = create_service_user("builder")
        mint(name="one")
        mint_key(builder, name="other")
        assert listed(viewer, service_user__id__exact=builder.pk) == ["other"]
        query = {"service_user__id__exact": builder.pk, "state": "active", "q": "other"}
        html = html_of(viewer.get(KEYS, query))
        assert f'<option value="{builder.pk}" selected>builder</option>' in html
        assert '<input type="hidden" name="state" value="active">' in html
        assert '<input type="hidden" name="q" value="other">' in html

    def test_by_service_user_only_where_those_may_be_seen(self, staff: Staff, mint: Mint) -> None:
        mint()
        assert "pikku-service-user-filter" not in html_of(staff("view_apikey").get(KEYS))

    @pytest.mark.parametrize(
        "query",
        [
            {"service_user__id__exact": "x"},
            {"service_user__id__exact": "9" * 30},
            {"state": "x"},
            {"expires": "x"},
            {"used": "x"},
            {"p": "x"},
            {"o": "99.-99.x"},
            {"q": "\0"},
        ],
    )
    def test_nonsense_is_answered(self, viewer: Client, mint: Mint, query: Any) -> None:
        mint()
        assert viewer.get(KEYS, query, follow=True).status_code in {200, 400}

    @pytest.mark.parametrize(
        "lookup",
        [
            "digest",
            "digest__startswith",
            "service_user__user__password__startswith",
            "service_user__keys__digest__startswith",
            "successor__digest__startswith",
            "created_by__password__startswith",
            "_connector",
            "pk__in",
        ],
    )
    def test_what_is_not_offered_can_not_be_asked_for(
        self, viewer: Client, mint: Mint, lookup: str
    ) -> None:
        mint(name="ci")
        response = viewer.get(KEYS, {lookup: "a"})
        assert response.status_code in {302, 400}


class TestManyRows:
    """A list costs the same for a thousand keys."""

    def test_no_more_queries(
        self,
        viewer: Client,
        service_user: ServiceUser,
        django_assert_num_queries: Any,
    ) -> None:
        viewer.get(KEYS)  # what is asked once, such as content types
        for count in (10, 990):
            many_keys(service_user, count)
            with django_assert_num_queries(LIST_QUERIES):
                response = viewer.get(KEYS)
        assert len(response.context["cl"].result_list) == 50

    def test_many_thousands_are_no_burden(
        self, staff: Staff, service_user: ServiceUser, django_assert_max_num_queries: Any
    ) -> None:
        client = staff("view_apikey", "view_serviceuser", "mint_apikey", "revoke_apikey")
        many_keys(service_user, 2_000)
        pages = [KEYS, f"{KEYS}?q=name-99", f"{KEYS}?state=active", f"{KEYS}?used=never", MINT]
        for page in pages:
            with django_assert_max_num_queries(14):
                assert len(client.get(page).content) < 80_000


LIST_QUERIES = 6


@pytest.mark.parametrize("rate", [None, "100/m"])
def test_the_page_of_a_key_says_what_bounds_it(
    viewer: Client, mint: Mint, rate: str | None
) -> None:
    bounds = {"rate": parse_rate(rate), "networks": ["192.0.2.0/24"]} if rate else {}
    key = mint(metadata={"a": 1}, **bounds).key
    html = html_of(viewer.get(f"{KEYS}{key.pk}/change/"))
    assert ("100/m" in html, "192.0.2.0/24" in html) == (rate is not None, rate is not None)
    assert "&quot;a&quot;: 1" in html


def test_the_page_of_a_rotated_key_leads_to_its_successor_and_back(
    viewer: Client, mint: Mint
) -> None:
    old = mint().key
    new = rotate_key(old).key
    assert f'href="{KEYS}{new.pk}/change/"' in html_of(viewer.get(f"{KEYS}{old.pk}/change/"))
    assert f'href="{KEYS}{old.pk}/change/"' in html_of(viewer.get(f"{KEYS}{new.pk}/change/"))


def test_whom_a_key_belongs_to_is_linked_for_who_may_see_them(
    staff: Staff, superuser: Client, mint: Mint, make_user: Any
) -> None:
    key = mint(context=AuditContext(actor=make_user("grace"))).key
    links = [f"{SERVICE_USERS}{key.service_user_id}/change/", f"{USERS}{key.created_by_id}/change/"]
    pages = (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}act/revoke/?ids={key.pk}")
    limited = staff("view_apikey", "revoke_apikey", "change_apikey")
    for page in pages:
        html = html_of(limited.get(page))
        assert "sandbox-runtime" in html
        assert not [link for link in links if link in html]
        assert links[0] in html_of(superuser.get(page))
    shown = html_of(superuser.get(pages[1]))
    assert not admin.site.is_registered(get_user_model()) or links[1] in shown


def test_of_many_scopes_the_list_shows_some(viewer: Client, mint: Mint) -> None:
    with pikku_settings(SCOPES=None):
        mint(scopes=["a:1", "b:2", "c:3", "d:4", "e:5"])
    assert '<span title="a:1, b:2, c:3, d:4, e:5">a:1, b:2, c:3 +2</span>' in html_of(
        viewer.get(KEYS)
    )


def test_renaming_is_audited_with_the_name_before(staff: Staff, mint: Mint) -> None:
    client, key = staff("view_apikey", "change_apikey"), mint(name="old").key
    client.post(f"{KEYS}{key.pk}/change/", {"name": "new"})
    key.refresh_from_db()
    assert key.name == "new"
    history = html_of(client.get(f"{KEYS}{key.pk}/history/"))
    assert "it was called “old”" in history


def test_a_name_has_to_be_printable(staff: Staff, mint: Mint) -> None:
    client, key = staff("view_apikey", "change_apikey"), mint(name="old").key
    response = client.post(f"{KEYS}{key.pk}/change/", {"name": "a\u202eb"})
    assert "Leave out U+202E" in html_of(response)
    key.refresh_from_db()
    assert key.name == "old"


XSS = "<script>alert(1)</script>"


@pytest.mark.parametrize("page", ["", "{pk}/change/", "{pk}/history/", "act/revoke/?ids={pk}"])
def test_no_text_of_a_row_becomes_markup(superuser: Client, mint: Mint, page: str) -> None:
    key = mint(name=XSS, metadata={"a": XSS}).key
    revoke_key(mint().key, reason=XSS)
    APIKey.objects.filter(pk=key.pk).update(revoke_reason=XSS)
    html = html_of(superuser.get(KEYS + page.format(pk=key.pk)))
    assert XSS not in html
    assert "&lt;script&gt;alert(1)" in html
