"""The admin of logins: staff look, and those who may end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from pikku_auth.flows import IssuedLogin
from pikku_auth.models import AuditEvent, LoginSession
from tests.logins import browser_of, logged_in

pytestmark = pytest.mark.django_db

PATH = "/admin/pikku_auth/loginsession/"

MakeUser = Callable[..., Any]


@pytest.fixture
def issued(make_user: MakeUser) -> IssuedLogin:
    return logged_in(make_user("ada"), scope="sandbox:read")


@pytest.fixture
def staff(make_user: MakeUser) -> Callable[..., Client]:
    """The browser of a member of staff with permissions on logins."""

    def sign_in(*permissions: str) -> Client:
        user = make_user("staff", is_staff=True)
        names = [f"{permission}_loginsession" for permission in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return browser_of(user)

    return sign_in


def revoke(client: Client, *logins: IssuedLogin) -> Any:
    chosen = [str(issued.login.pk) for issued in logins]
    form = {"action": "revoke_selected", "_selected_action": chosen}
    return client.post(PATH, form, follow=True, headers={"User-Agent": "Firefox/150"})


def is_revoked(issued: IssuedLogin) -> bool:
    return LoginSession.objects.get(pk=issued.login.pk).revoked_at is not None


def test_the_list_says_who_is_logged_in_from_where(
    staff: Callable[..., Client], issued: IssuedLogin
) -> None:
    html = staff("view").get(PATH).content.decode()
    for text in (issued.token.start, issued.login.user.get_username(), "pikku-cli", "sandbox:read"):
        assert text in html


@pytest.mark.parametrize("page", ["", "{pk}/change/", "{pk}/history/", "?q=ada"])
def test_no_page_shows_what_is_secret(
    staff: Callable[..., Client], issued: IssuedLogin, page: str
) -> None:
    login = issued.login
    response = staff("view").get(PATH + page.format(pk=login.pk))
    html = response.content.decode()
    assert response.status_code == 200
    for secret in (issued.token.reveal(), login.digest, login.auth_hash):
        assert secret not in html


def test_no_login_is_found_by_its_digest(staff: Callable[..., Client], issued: IssuedLogin) -> None:
    response = staff("view").get(PATH, {"q": issued.login.digest})
    assert issued.token.start not in response.content.decode()


@pytest.mark.parametrize("lookup", ["digest__startswith", "auth_hash__startswith", "auth_hash"])
def test_what_is_secret_can_not_be_asked_for_letter_by_letter(
    staff: Callable[..., Client], issued: IssuedLogin, lookup: str
) -> None:
    assert staff("view").get(PATH, {lookup: "a"}).status_code == 400


def test_who_may_change_logins_may_end_them(
    staff: Callable[..., Client], issued: IssuedLogin, make_user: MakeUser
) -> None:
    other = logged_in(make_user("grace"))
    response = revoke(staff("view", "change"), issued, other)
    assert "Ended 2 logins." in response.content.decode()
    assert (is_revoked(issued), is_revoked(other)) == (True, True)
    event = AuditEvent.objects.filter(action="login_revoked").latest("pk")
    assert (event.door, event.ip, event.user_agent) == ("admin", "127.0.0.1", "Firefox/150")
    assert event.actor_name.startswith("staff")
    assert event.details == {"reason": "revoked by staff"}


def test_one_that_had_ended_is_not_counted(
    staff: Callable[..., Client], issued: IssuedLogin, make_user: MakeUser
) -> None:
    client = staff("view", "change")
    revoke(client, issued)
    other = logged_in(make_user("grace"))
    assert "Ended 1 login." in revoke(client, issued, other).content.decode()


def test_who_may_only_look_ends_nothing(staff: Callable[..., Client], issued: IssuedLogin) -> None:
    client = staff("view")
    revoke(client, issued)
    assert not is_revoked(issued)
    assert b"Revoke selected" not in client.get(PATH).content


def test_who_may_not_even_look_is_refused(
    staff: Callable[..., Client], issued: IssuedLogin
) -> None:
    client = staff()
    assert client.get(PATH).status_code == 403
    assert revoke(client, issued).status_code == 403
    assert not is_revoked(issued)


def test_nothing_else_can_be_changed(staff: Callable[..., Client], issued: IssuedLogin) -> None:
    client = staff("view", "add", "change", "delete")
    page = f"{PATH}{issued.login.pk}/"
    assert client.get(f"{PATH}add/").status_code == 403
    assert client.post(f"{page}change/", {"client_id": "x"}).status_code == 403
    assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert not LogEntry.objects.exists()


def test_the_list_costs_the_same_for_many_logins(
    staff: Callable[..., Client], make_user: MakeUser, django_assert_max_num_queries: Any
) -> None:
    ada, client = make_user("ada"), staff("view")
    for _ in range(20):
        logged_in(ada)
    with django_assert_max_num_queries(10):
        client.get(PATH)
