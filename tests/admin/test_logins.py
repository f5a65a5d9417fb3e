"""The admin of logins: staff look, and those who may end them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import AuditEvent, LoginSession
from tests.admin.conftest import Staff
from tests.admin.pages import LOGINS, USERS, act, html_of, messages_of
from tests.logins import bearer, logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

PATH = LOGINS

MakeUser = Callable[..., Any]
NOW = timezone.now()


@pytest.fixture
def issued(make_user: MakeUser) -> IssuedLogin:
    return logged_in(make_user("ada"), scope="sandbox:read")


def revoke(client: Client, *logins: IssuedLogin, name: str = "revoke", reason: str = "") -> Any:
    return act(client, name, *(issued.login for issued in logins), base=PATH, reason=reason)


def is_revoked(issued: IssuedLogin) -> bool:
    return LoginSession.objects.get(pk=issued.login.pk).revoked_at is not None


def test_the_list_says_who_is_logged_in_from_where(staff: Staff, issued: IssuedLogin) -> None:
    html = staff("view_loginsession").get(PATH).content.decode()
    for text in (
        issued.token.preview,
        issued.login.user.get_username(),
        "pikku-cli",
        "sandbox:read",
    ):
        assert text in html


@pytest.mark.parametrize("page", ["", "{pk}/change/", "{pk}/history/", "?q=ada"])
def test_no_page_shows_what_is_secret(staff: Staff, issued: IssuedLogin, page: str) -> None:
    login = issued.login
    response = staff("view_loginsession").get(PATH + page.format(pk=login.pk))
    html = response.content.decode()
    assert response.status_code == 200
    for secret in (issued.token.reveal(), login.digest, login.auth_hash):
        assert secret not in html


def test_no_login_is_found_by_its_digest(staff: Staff, issued: IssuedLogin) -> None:
    response = staff("view_loginsession").get(PATH, {"q": issued.login.digest})
    assert issued.token.preview not in response.content.decode()


@pytest.mark.parametrize("lookup", ["digest__startswith", "auth_hash__startswith", "auth_hash"])
def test_what_is_secret_can_not_be_asked_for_letter_by_letter(
    staff: Staff, issued: IssuedLogin, lookup: str
) -> None:
    assert staff("view_loginsession").get(PATH, {lookup: "a"}).status_code == 400


def test_who_may_change_logins_may_end_them(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    other = logged_in(make_user("grace"))
    response = revoke(staff("view_loginsession", "change_loginsession"), issued, other)
    assert messages_of(response) == ["Ended 2 logins."]
    assert (is_revoked(issued), is_revoked(other)) == (True, True)
    event = AuditEvent.objects.filter(action="login_revoked").latest("pk")
    assert (event.source, event.ip) == ("admin", "127.0.0.1")
    assert event.actor_name.startswith("staff")
    assert event.details == {"reason": ""}


def test_one_that_had_ended_is_not_counted(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    client = staff("view_loginsession", "change_loginsession")
    revoke(client, issued)
    other = logged_in(make_user("grace"))
    assert messages_of(revoke(client, issued, other))[-1] == "Ended 1 login."


def test_who_may_only_look_ends_nothing(staff: Staff, issued: IssuedLogin) -> None:
    client = staff("view_loginsession")
    assert revoke(client, issued).status_code == 403
    assert not is_revoked(issued)
    for page in ("", f"{issued.login.pk}/change/"):
        assert "act/revoke" not in html_of(client.get(PATH + page))


def test_who_may_not_even_look_is_refused(staff: Staff, issued: IssuedLogin) -> None:
    client = staff()
    assert client.get(PATH).status_code == 403
    assert revoke(client, issued).status_code == 403
    assert not is_revoked(issued)


def test_nothing_else_can_be_changed(staff: Staff, issued: IssuedLogin) -> None:
    client = staff(*(f"{name}_loginsession" for name in ("view", "add", "change", "delete")))
    page = f"{PATH}{issued.login.pk}/"
    assert client.get(f"{PATH}add/").status_code == 403
    assert client.post(f"{page}change/", {"client_id": "x"}).status_code == 403
    assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert not LogEntry.objects.exists()


def test_the_list_costs_the_same_for_a_thousand_of_as_many_humans(
    staff: Staff, django_assert_num_queries: Any
) -> None:
    client, model, now = staff("view_loginsession"), get_user_model(), timezone.now()
    client.get(PATH)
    for start, count in ((0, 10), (10, 990)):
        numbers = range(start, start + count)
        names = [f"user-{number}@example.com" for number in numbers]
        users = [model(**{model.USERNAME_FIELD: name}) for name in names]
        model._default_manager.bulk_create(users)
        owners = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": names})
        LoginSession.objects.bulk_create(
            LoginSession(
                user=owner, preview="pks_x", digest=f"{start}-{owner.pk}", client_id="ci",
                created_at=now, renewed_at=now, expires_at=now + timedelta(days=1),
            )
            for owner in owners
        )  # fmt: skip
        with django_assert_num_queries(7):
            response = client.get(PATH)
    assert len(response.context["cl"].result_list) == 50


def test_the_page_asks_first(staff: Staff, issued: IssuedLogin) -> None:
    client = staff("view_loginsession", "change_loginsession")
    chosen = {"action": "revoke", "_selected_action": issued.login.pk}
    html = html_of(client.post(PATH, chosen))
    assert f"End 1 login of {issued.login.user.get_username()}?" in html
    assert issued.token.preview in html
    assert not is_revoked(issued)


def test_a_reason_is_kept(staff: Staff, issued: IssuedLogin) -> None:
    revoke(staff("view_loginsession", "change_loginsession"), issued, reason="lost laptop")
    assert LoginSession.objects.get().revoke_reason == "lost laptop"


def test_all_of_a_users_go_by_one_of_them(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    client, ada = staff("view_loginsession", "change_loginsession"), issued.login.user
    other, of_another = logged_in(ada), logged_in(make_user("grace"))
    coming = started_and_claimed(ada)
    revoke(client, issued, name="revoke-all")
    assert [is_revoked(one) for one in (issued, other, of_another)] == [True, True, False]
    assert row_of(coming).status == "denied"
    assert client.get("/api/whoami/", headers=bearer(issued)).status_code == 401


def test_all_of_several_users_go_together(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    client, grace = staff("view_loginsession", "change_loginsession"), make_user("grace")
    theirs = [issued, logged_in(issued.login.user), logged_in(grace), logged_in(grace)]
    response = revoke(client, issued, theirs[2], name="revoke-all", reason="leaked")
    assert messages_of(response) == ["Ended 4 logins."]
    assert {is_revoked(one) for one in theirs} == {True}
    entries = LogEntry.objects.filter(change_message="Ended.")
    assert {entry.object_id for entry in entries} == {str(one.login.pk) for one in theirs}


def test_the_page_says_of_how_many_users_the_logins_are(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    client, other = staff("view_loginsession", "change_loginsession"), logged_in(make_user("grace"))
    ids = f"{issued.login.pk},{other.login.pk}"
    for name, question in (
        ("revoke", "End 2 logins of 2 users?"),
        ("revoke-all", "End all logins of 2 users, 2 in all?"),
    ):
        assert client.get(f"{PATH}act/{name}/?ids={ids}").context["title"] == question


def test_those_of_an_inactive_human_do_not_come_back_with_them(
    staff: Staff, issued: IssuedLogin
) -> None:
    client, ada = staff("view_loginsession", "change_loginsession"), issued.login.user
    ada.is_active = False
    ada.save()
    revoke(client, issued, name="revoke-all")
    ada.is_active = True
    ada.save()
    assert client.get("/api/whoami/", headers=bearer(issued)).status_code == 401


def test_the_page_lists_all_that_will_end(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    client, ada = staff("view_loginsession", "change_loginsession"), issued.login.user
    over, other, of_another = logged_in(ada), logged_in(ada), logged_in(make_user("grace"))
    revoke(client, over)
    html = html_of(client.get(f"{PATH}act/revoke-all/?ids={over.login.pk}"))
    assert f"End all logins of {ada.get_username()}, 2 in all?" in html
    shown = [one.token.preview in html for one in (issued, other, over, of_another)]
    assert shown == [True, True, False, False]


def test_what_is_about_to_be_fetched_ends_even_if_nothing_else_does(
    staff: Staff, issued: IssuedLogin
) -> None:
    client, ada = staff("view_loginsession", "change_loginsession"), issued.login.user
    revoke(client, issued)
    coming = started_and_claimed(ada)
    assert f"{ada.get_username()}, 0 in all" in html_of(
        client.get(f"{PATH}act/revoke-all/?ids={issued.login.pk}")
    )
    revoke(client, issued, name="revoke-all")
    assert row_of(coming).status == "denied"


def test_a_human_is_linked_for_who_may_see_users(
    staff: Staff, superuser: Client, issued: IssuedLogin
) -> None:
    link = f"{USERS}{issued.login.user_id}/change/"
    viewer, has_screen = staff("view_loginsession"), admin.site.is_registered(get_user_model())
    for page in (PATH, f"{PATH}{issued.login.pk}/change/"):
        assert issued.login.user.get_username() in html_of(viewer.get(page))
        assert link not in html_of(viewer.get(page))
        assert (link in html_of(superuser.get(page))) == has_screen


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "live"),
        ({"revoked_at": NOW}, "ended"),
        ({"expires_at": NOW}, "expired"),
        ({"auth_hash": "x"}, "password changed"),
    ],
)
def test_the_page_says_what_a_login_is(
    staff: Staff, issued: IssuedLogin, change: dict[str, Any], word: str
) -> None:
    LoginSession.objects.update(**change)
    html = html_of(staff("view_loginsession").get(f"{PATH}{issued.login.pk}/change/"))
    assert f">{word}</span>" in html


def test_the_login_of_an_inactive_human_says_so(staff: Staff, issued: IssuedLogin) -> None:
    user = issued.login.user
    user.is_active = False
    user.save()
    html = html_of(staff("view_loginsession").get(f"{PATH}{issued.login.pk}/change/"))
    assert ">user inactive</span>" in html


def test_the_list_is_filtered_by_state(
    staff: Staff, issued: IssuedLogin, make_user: MakeUser
) -> None:
    revoked, expired = logged_in(make_user("grace")), logged_in(make_user("edsger"))
    LoginSession.objects.filter(pk=revoked.login.pk).update(revoked_at=NOW)
    LoginSession.objects.filter(pk=expired.login.pk).update(expires_at=NOW)
    client = staff("view_loginsession")
    for state, one in (("live", issued), ("revoked", revoked), ("expired", expired)):
        (row,) = client.get(PATH, {"state": state}).context["cl"].result_list
        assert row.pk == one.login.pk
    assert len(client.get(PATH, {"state": "x"}).context["cl"].result_list) == 3


def test_a_leaked_token_is_found(staff: Staff, issued: IssuedLogin) -> None:
    client = staff("view_loginsession")
    found = client.post(f"{PATH}find/", {"secret": issued.token.reveal()})
    assert found["Location"] == f"{PATH}{issued.login.pk}/change/"


def test_whose_token_it_is_is_told_only_to_who_may_see_logins(
    staff: Staff, issued: IssuedLogin
) -> None:
    client = staff("view_apikey")
    found = client.post("/admin/pikku_auth/apikey/find/", {"secret": issued.token.reveal()})
    assert found["Location"] == "/admin/pikku_auth/apikey/"
    assert client.post(f"{PATH}find/", {"secret": "x"}).status_code == 403
