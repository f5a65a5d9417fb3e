"""The page where people see their logins, and end them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.flows import AuditContext, IssuedKey
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import AuditEvent, LoginSession
from pikku_auth.testing import key_headers
from pikku_auth.views import logins as page_of_logins
from tests.logins import approved, bearer, browser_of, logged_in

pytestmark = pytest.mark.django_db

PAGE = "/auth/logins"
LAPTOP = AuditContext(ip="198.51.100.7", user_agent="pikku-auth/0.1 (a laptop)")


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada", is_superuser=True)


@pytest.fixture
def browser(ada: Any) -> Client:
    return browser_of(ada)


def words_of(answer: Any) -> str:
    assert answer.status_code == 200
    main = answer.content.decode().split("<main>")[1].split("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def press(browser: Client, step: str, login: LoginSession | None = None) -> Any:
    """Press a button of the page; the page after it."""
    body = {"step": step, **({"login": str(login.pk)} if login else {})}
    return browser.post(PAGE, body, follow=True)


def is_good(issued: IssuedLogin) -> bool:
    return Client().get("/auth/whoami", headers=bearer(issued)).status_code == 200


class TestShows:
    def test_where_somebody_is_logged_in(self, ada: Any, browser: Client) -> None:
        login = logged_in(ada, context=LAPTOP, client_id="my-tool").login
        LoginSession.objects.filter(pk=login.pk).update(
            last_used_at=timezone.now() - timedelta(hours=3), last_used_ip="203.0.113.9"
        )
        words = words_of(browser.get(PAGE))
        assert "my-tool Last used 3 hours ago 203.0.113.9" in words
        assert "Logged in just now 198.51.100.7 pikku-auth/0.1 (a laptop)" in words
        assert "Ends in 6 days" in words or "Ends in 1 week" in words
        assert "later if it is used" in words
        assert "You are signed in as ada" in words

    def test_one_that_was_not_used_yet_and_can_live_no_longer(
        self, ada: Any, browser: Client
    ) -> None:
        login = logged_in(ada).login
        end = timezone.now() + timedelta(hours=2)
        limit = login.created_at + timedelta(days=90) - end
        LoginSession.objects.update(expires_at=end, created_at=login.created_at - limit)
        words = words_of(browser.get(PAGE))
        assert "Last used not yet" in words
        assert "later if it is used" not in words

    def test_nobody(self, browser: Client) -> None:
        words = words_of(browser.get(PAGE))
        assert "No terminal and no program is logged in as you." in words
        assert "End" not in words

    def test_neither_what_is_over_nor_what_is_of_others(
        self, ada: Any, browser: Client, make_user: Callable[..., Any]
    ) -> None:
        logged_in(make_user("eve"), client_id="eves")
        logged_in(ada, client_id="expired")
        LoginSession.objects.filter(client_id="expired").update(expires_at=timezone.now())
        logged_in(ada, client_id="of-an-old-password")
        LoginSession.objects.filter(client_id="of-an-old-password").update(auth_hash="x")
        assert "No terminal" in words_of(browser.get(PAGE))

    def test_a_hundred_and_says_that_there_are_more(
        self, ada: Any, browser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page_of_logins, "MOST_SHOWN", 2)
        for client in ("one", "two", "three"):
            logged_in(ada, client_id=client)
        words = words_of(browser.get(PAGE))
        assert "These are the newest 2. There are more." in words
        assert "one" not in re.findall(r"(\w+) Last used", words)
        assert re.findall(r"(\w+) Last used", words) == ["three", "two"]

    def test_no_secret_and_nothing_of_the_text_of_others_as_markup(
        self, ada: Any, browser: Client
    ) -> None:
        login = logged_in(ada, client_id="<b>tool</b>").login
        page = browser.get(PAGE).content.decode()
        assert "&lt;b&gt;tool&lt;/b&gt;" in page
        assert login.preview not in page
        assert login.digest not in page

    def test_german(self, ada: Any, browser: Client) -> None:
        logged_in(ada)
        with override_settings(LANGUAGE_CODE="de"):
            answer = browser.get(PAGE)
        assert "Ihre Anmeldungen" in words_of(answer)
        assert 'lang="de"' in answer.content.decode()

    def test_large_ids_without_thousand_separators(self, ada: Any, browser: Client) -> None:
        login = logged_in(ada).login
        login.pk, login.digest, login.device_code = 1_234_567, "x", None
        login.save(force_insert=True)
        with override_settings(USE_THOUSAND_SEPARATOR=True):
            assert 'value="1234567"' in browser.get(PAGE).content.decode()

    def test_the_approval_page_leads_here_and_back(self, browser: Client) -> None:
        assert f'href="{PAGE}"' in browser.get("/auth/activate").content.decode()
        assert 'href="/auth/activate"' in browser.get(PAGE).content.decode()


class TestEnds:
    def test_one(self, ada: Any, browser: Client) -> None:
        first, second = logged_in(ada), logged_in(ada)
        answer = press(browser, "end", first.login)
        assert "1 login was ended." in words_of(answer)
        assert (is_good(first), is_good(second)) == (False, True)
        event = AuditEvent.objects.latest("pk")
        assert (event.action, event.actor, event.source) == ("login_revoked", ada, "web")
        assert event.details["reason"] == "revoked by its owner"

    def test_all_others(self, ada: Any, browser: Client) -> None:
        kept, *others = (logged_in(ada) for _ in range(3))
        assert "2 logins were ended." in words_of(press(browser, "end-others", kept.login))
        assert [is_good(issued) for issued in (kept, *others)] == [True, False, False]

    def test_all_and_what_is_approved_but_not_yet_fetched(self, ada: Any, browser: Client) -> None:
        one, started = logged_in(ada), approved(ada)
        assert "1 login was ended." in words_of(press(browser, "end-all"))
        assert not is_good(one)
        polled = Client().post(
            "/auth/device/token",
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "device_code": started.device_code.reveal(),
                "client_id": "pikku-cli",
            },
            content_type="application/json",
        )
        assert polled.json()["error"] == "access_denied"

    def test_the_browsers_own_session_goes_on(self, ada: Any, browser: Client) -> None:
        logged_in(ada)
        press(browser, "end-all")
        assert browser.session[SESSION_KEY] == str(ada.pk)

    @pytest.mark.parametrize("step", ["end", "end-others"])
    @pytest.mark.parametrize("named", ["", "nonsense", "0", "1" * 30])
    def test_nothing_by_a_name_that_is_none(
        self, ada: Any, browser: Client, step: str, named: str
    ) -> None:
        issued = logged_in(ada)
        answer = browser.post(PAGE, {"step": step, "login": named}, follow=True)
        assert "It had ended already." in words_of(answer)
        assert is_good(issued)

    def test_nothing_without_a_button(self, ada: Any, browser: Client) -> None:
        issued = logged_in(ada)
        browser.post(PAGE, {"login": str(issued.login.pk)})
        browser.post(PAGE)
        assert is_good(issued)

    def test_nothing_of_others(self, browser: Client, make_user: Callable[..., Any]) -> None:
        of_eve = logged_in(make_user("eve"))
        for step in ("end", "end-others", "end-all"):
            press(browser, step, of_eve.login)
        assert is_good(of_eve)

    def test_nothing_by_get(self, ada: Any, browser: Client) -> None:
        issued = logged_in(ada)
        browser.get(PAGE, {"step": "end-all", "login": str(issued.login.pk)})
        assert is_good(issued)

    def test_nothing_anew_when_the_page_is_loaded_again(self, ada: Any, browser: Client) -> None:
        logged_in(ada)
        answer = press(browser, "end-all")
        (where, status), *_ = answer.redirect_chain
        assert status == 303
        later = logged_in(ada)
        assert "1 login was ended." in words_of(browser.get(where))
        assert is_good(later)


class TestWhatWasDone:
    def where(self, browser: Client) -> str:
        ((where, _),) = press(browser, "end-all").redirect_chain
        return str(where)

    def test_is_forgotten_after_a_minute(self, browser: Client) -> None:
        where = self.where(browser)
        assert "It had ended already." in words_of(browser.get(where))
        with freeze_time(timezone.now() + timedelta(minutes=2)):
            assert "It had ended already." not in words_of(browser.get(where))

    def test_is_told_to_nobody_else(self, browser: Client, make_user: Callable[..., Any]) -> None:
        other = browser_of(make_user("eve"))
        assert "It had ended already." not in words_of(other.get(self.where(browser)))

    def test_can_not_be_made_up(self, browser: Client) -> None:
        assert "ended" not in words_of(browser.get(f"{PAGE}?ended=99"))


class TestLetsIn:
    def test_nobody_without_a_session(self) -> None:
        answer: Any = Client().get(PAGE)
        assert answer.status_code == 302
        assert answer.url.endswith("?next=/auth/logins")

    def test_nobody_whose_session_is_over_when_they_press(self, ada: Any) -> None:
        issued = logged_in(ada)
        answer = Client().post(PAGE, {"step": "end", "login": str(issued.login.pk)})
        assert "Sign in to see your logins." in words_of(answer)
        assert "next=/auth/logins" in answer["Refresh"]
        assert is_good(issued)

    def test_no_key(self, mint: Callable[..., IssuedKey]) -> None:
        answer = Client().get(PAGE, headers=key_headers(mint(scopes=["*"])))
        assert (answer.status_code, answer.json()["code"]) == (403, "browser_session_required")

    def test_no_token_not_even_beside_a_session(self, ada: Any, browser: Client) -> None:
        issued = logged_in(ada)
        for client in (Client(), browser):
            answer = client.post(PAGE, {"step": "end-all"}, headers=bearer(issued))
            assert answer.status_code == 403
        assert is_good(issued)

    def test_nobody_whom_only_a_middleware_has_let_in(self, ada: Any) -> None:
        with override_settings(MIDDLEWARE=[*WITHOUT_OURS, f"{__name__}.letting_ada_in"]):
            answer = Client().get(PAGE)
        assert answer.status_code == 403

    def test_nobody_from_another_page(self, ada: Any) -> None:
        issued = logged_in(ada)
        strict = browser_of(ada, enforce_csrf_checks=True)
        assert strict.post(PAGE, {"step": "end-all"}).status_code == 403
        assert is_good(issued)

    def test_somebody_else_after_not_you(self, browser: Client) -> None:
        answer = browser.post(PAGE, {"step": "sign-in-again"})
        assert "Sign in to see your logins." in words_of(answer)
        assert SESSION_KEY not in browser.session

    def test_the_login_required_middleware_is_no_obstacle(self) -> None:
        middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        with override_settings(MIDDLEWARE=[*WITHOUT_OURS, middleware]):
            answer: Any = Client().get(PAGE)
        assert answer.url.endswith("?next=/auth/logins")

    def test_no_frame_no_cache_no_script(self, browser: Client) -> None:
        answer = browser.get(PAGE)
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert "<script" not in answer.content.decode()


WITHOUT_OURS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def letting_ada_in(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware that makes somebody the user without a session."""
    from django.contrib.auth import get_user_model

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = get_user_model()._default_manager.first()
        return get_response(request)

    return middleware
