"""The page where a human lets a terminal in: what it shows, and what it never does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import resolve
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.flows import IssuedKey
from pikku_auth.flows.audit import AuditContext
from pikku_auth.flows.device_flow import approve, claim, deny, start_login
from pikku_auth.flows.device_flow.authorize import StartedLogin
from pikku_auth.flows.sign_in import SIGNED_IN_AT
from pikku_auth.models import Attempts, AuditEvent, DeviceCode, LoginSession
from pikku_auth.testing import key_headers
from tests.conftest import pikku_settings
from tests.logins import BACKEND, logged_in
from tests.logins import bearer as bearer_of

pytestmark = pytest.mark.django_db

PAGE = "/auth/activate"
WRONG = "BBBB-BBBB"
ELSEWHERE = AuditContext(source="web", ip="198.51.100.7", user_agent="curl/8.5 (a terminal)")


def start(client_id: str = "pikku-cli", scope: str = "", context: AuditContext = ELSEWHERE) -> str:
    """A login that waits for its human; its user code, as the terminal shows it."""
    code = start_login(client_id, scope, context=context).user_code.reveal()
    return f"{code[:4]}-{code[4:]}"


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


@pytest.fixture
def browser(ada: Any) -> Client:
    """Ada's, signed in."""
    client = Client()
    client.force_login(ada, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def other(make_user: Callable[..., Any]) -> Client:
    """Bob's, signed in."""
    client = Client()
    client.force_login(make_user("bob"), "django.contrib.auth.backends.ModelBackend")
    return client


def look_up(browser: Client, code: str) -> Any:
    return browser.post(PAGE, {"step": "look-up", "user_code": code})


def ticket_in(response: Any) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', response.content.decode())
    assert found
    return found[1]


def decide(browser: Client, step: str, ticket: str) -> Any:
    return browser.post(PAGE, {"step": step, "ticket": ticket})


def text_of(response: Any) -> str:
    """What a reader sees, without tags, in single spaces."""
    html = re.sub(r"<head>.*</head>", "", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def rows(html: str) -> dict[str, str]:
    """The description list: each term with what is said of it."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.DOTALL)
    return {term: " ".join(re.sub(r"<[^>]+>", " ", said).split()) for term, said in pairs}


def status_of() -> str:
    return DeviceCode.objects.get().status


# --- Signing in first ------------------------------------------------------------------


def test_who_is_not_signed_in_signs_in_first_and_keeps_the_code() -> None:
    code = start()
    response = Client().get(PAGE, {"user_code": code})
    where = urlsplit(response.headers["Location"])
    assert where.path == "/accounts/login/"
    assert parse_qs(where.query)["next"] == [f"{PAGE}?user_code={code}"]


def test_signing_in_leads_back_to_the_code_under_another_session_key(ada: Any) -> None:
    browser, code = Client(), start()
    before = browser.session.session_key
    form = {"username": ada.get_username(), "password": "correct-horse"}
    login = browser.get(PAGE, {"user_code": code}).headers["Location"]
    response = browser.post(login, form, follow=True)
    assert response.redirect_chain == [(f"{PAGE}?user_code={code}", 302)]
    assert code in response.content.decode()
    assert before
    assert browser.session.session_key != before


EVIL = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\evil.example",
    "\\\\evil.example", "https:evil.example", "https:/evil.example", "https://evil.example",
    "HTTPS://evil.example", "http://evil.example", "ftp://evil.example", "javascript:alert(1)",
    "data:text/html,x", "%2f%2fevil.example", "/%2fevil.example", "/\t/evil.example",
    "/\n/evil.example", "/\r/evil.example", "\t//evil.example", " //evil.example",
    "http://testserver@evil.example", "//testserver@evil.example", "//testserver:x@evil.example",
    "https://testserver.evil.example", "http:\\\\evil.example", "http:///evil.example",
    "//evil。example", "/auth/activate@evil.example", "?next=//evil.example",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_no_next_leads_to_another_host(evil: str, ada: Any) -> None:
    form = {"username": ada.get_username(), "password": "correct-horse", "next": evil}
    assert urlsplit(Client().post("/accounts/login/", form).headers["Location"]).netloc == ""


@pytest.mark.parametrize("evil", EVIL[::10])
def test_nothing_in_the_address_changes_where_signing_in_leads(evil: str) -> None:
    response = Client().get(f"{PAGE}?next={quote(evil)}&user_code={quote(evil)}")
    assert response.headers["Location"] == f"/accounts/login/?next={PAGE}"


def test_a_form_sent_after_the_session_ended_leads_through_signing_in(browser: Client) -> None:
    code = start()
    browser.logout()
    response = look_up(browser, code)
    target = f"/accounts/login/?next={quote(PAGE)}%3Fuser_code%3D{code}"
    assert response.headers["Refresh"] == f"0; url={target}"
    assert f'href="{target}"' in response.content.decode()
    assert DeviceCode.objects.get().user is None


def test_login_required_middleware_keeps_the_code() -> None:
    middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, middleware]):
        response = Client().post(PAGE, {"user_code": start()})
    assert "user_code" in response.headers["Refresh"]


@pytest.mark.parametrize(
    ("login_url", "next_page"),
    [
        ("https://sso.example.com/login/", f"https://testserver{PAGE}"),
        ("//sso.example.com/login/", f"https://testserver{PAGE}"),
        ("http://testserver/login/", f"https://testserver{PAGE}"),
        ("https://testserver/login/", PAGE),
        ("//testserver/login/", PAGE),
        ("/login/", PAGE),
        ("admin:login", PAGE),
    ],
)
def test_code_survives_a_login_page_wherever_that_is(login_url: str, next_page: str) -> None:
    """Named as Django's ``login_required`` names it."""
    code = start()
    with override_settings(LOGIN_URL=login_url):
        for response in (
            Client().get(PAGE, {"user_code": code}, secure=True).headers["Location"],
            Client().post(PAGE, {"user_code": code}, secure=True).headers["Refresh"],
        ):
            assert parse_qs(urlsplit(response).query)["next"] == [f"{next_page}?user_code={code}"]


# --- Nothing changes by GET ------------------------------------------------------------


def test_a_prefetched_link_changes_nothing(browser: Client) -> None:
    code = start()
    before = DeviceCode.objects.values().get()
    for _ in range(100):
        assert browser.get(PAGE, {"user_code": code}).status_code == 200
        browser.get(PAGE, {"user_code": code, "step": "approve"}, headers={"Purpose": "prefetch"})
    browser.head(PAGE, {"user_code": code})
    assert DeviceCode.objects.values().get() == before
    assert not Attempts.objects.filter(count__gt=1).exists()
    assert not AuditEvent.objects.exists()


def test_arriving_with_the_code_shows_it_to_compare_and_asks_nothing_else(browser: Client) -> None:
    code = start()
    response = browser.get(PAGE, {"user_code": code.lower()})
    assert f'value="{code}"' in response.content.decode()
    assert "Does your terminal show this code?" in text_of(response)
    assert 'value="approve"' not in response.content.decode()


def test_a_form_without_a_code_looks_nothing_up(browser: Client) -> None:
    code = start()
    assert browser.post(f"{PAGE}?user_code={code}").status_code == 400
    assert DeviceCode.objects.get().user is None


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods_are_refused(method: str, browser: Client) -> None:
    assert getattr(browser, method)(PAGE).status_code == 405


# --- What is asking --------------------------------------------------------------------


def test_the_page_lists_all_there_is_to_know(browser: Client, ada: Any) -> None:
    code = start("pikku-cli", "sandbox:read sandbox:write")
    response = look_up(browser, code)
    html, text = response.content.decode(), text_of(response)
    assert rows(html) == {
        "Program": "pikku-cli",
        "Access": "sandbox : read, write",
        "As": f"{ada.get_username()} on testserver",
        "Asked": "just now",
        "From": "198.51.100.7 curl/8.5 (a terminal)",
    }
    assert f'<p class="code" dir="ltr" aria-describedby="compare">{code}</p>' in html
    assert f"You are signed in as {ada.get_username()} ." in text
    assert "Not you?" in text
    assert "Did you start this yourself?" in text
    assert "You are at another address yourself ( 127.0.0.1 )." in text


def test_deny_is_the_button_that_enter_presses(browser: Client) -> None:
    html = look_up(browser, start()).content.decode()
    form = html[html.rindex("<form") :]
    assert re.findall(r'<button[^>]* name="step" value="([\w-]+)"', form) == ["deny", "approve"]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("", "everything that you may do"),
        ("sandbox:read", "sandbox : read"),
        ("sandbox:*", "sandbox : everything"),
        ("*", "everything that you may do"),
        ("sandbox:read *", "everything that you may do"),
    ],
)
def test_scopes_are_shown_in_words(scope: str, words: str, browser: Client) -> None:
    assert rows(look_up(browser, start(scope=scope)).content.decode())["Access"] == words


# --- What LOGIN_SCOPES gives ------------------------------------------------------------


def buttons_of(response: Any) -> set[str]:
    """What the form of the decision offers."""
    return set(re.findall(r'name="step" value="(approve|deny)"', response.content.decode()))


@pytest.mark.parametrize(
    ("asked", "given", "granted", "in_vain"),
    [
        ("sandbox:read", ["sandbox:*"], "sandbox : read", None),
        ("sandbox:read sandbox:write", ["sandbox:read"], "sandbox : read", "sandbox:write"),
        ("sandbox:*", ["sandbox:read"], "sandbox : read", "sandbox:*"),
        ("*", ["perm:*"], "your permissions on this site", "*"),
        ("", ["perm:*"], "your permissions on this site", None),
        ("", ["perm:a.b", "sandbox:*"], "perm : a.b sandbox : everything", None),
    ],
)
def test_page_shows_what_will_be_granted_and_what_was_asked_for_in_vain(
    asked: str, given: list[str], granted: str, in_vain: str | None, browser: Client
) -> None:
    with pikku_settings(LOGIN_SCOPES=given):
        response = look_up(browser, start(scope=asked))
    told = rows(response.content.decode())
    assert told["Access"] == granted
    assert told.get("Not granted", "").partition(" It asked")[0] == (in_vain or "")
    assert buttons_of(response) == {"approve", "deny"}


@pytest.mark.parametrize(
    ("asked", "access", "not_granted"),
    [
        ("openid profile", "only who you are", "openid profile It asked for this, but this site"),
        ("sandbox:read openid", "sandbox : read", "openid It asked for this, but this site"),
        (
            "sandbox:read sandbox:write <b>",
            "sandbox : read",
            "sandbox:write It asked for this, but you don\u2019t have it. &lt;b&gt; It asked",
        ),
    ],
)
def test_page_shows_what_is_no_scope_of_the_site_as_such(
    asked: str, access: str, not_granted: str, browser: Client
) -> None:
    with pikku_settings(LOGIN_SCOPES=["sandbox:read"]):
        response = look_up(browser, start(scope=asked))
    told = rows(response.content.decode())
    assert told["Access"] == access
    assert told["Not granted"].startswith(not_granted)
    assert told["Not granted"].endswith("but this site has no such scope.")
    assert "<h1>Let this terminal in?</h1>" in response.content.decode()
    assert buttons_of(response) == {"approve", "deny"}


@pytest.mark.parametrize(
    ("function", "heading"),
    [
        ("by_group", "This login could do nothing"),
        ("aby_group", "This login could do nothing"),
        ("nobody", "You may not log in from a terminal"),
        ("anobody", "You may not log in from a terminal"),
    ],
)
def test_login_that_could_do_nothing_can_only_be_denied(
    function: str, heading: str, browser: Client
) -> None:
    with pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{function}"):
        response = look_up(browser, start(scope="sandbox:write"))
        assert f"<h1>{heading}</h1>" in response.content.decode()
        assert rows(response.content.decode())["Access"] == "nothing"
        assert buttons_of(response) == {"deny"}
        refused = decide(browser, "approve", ticket_in(response))
        assert (refused.status_code, buttons_of(refused)) == (403, {"deny"})
        assert f"<h1>{heading}</h1>" in refused.content.decode()
        assert status_of() == "pending"
        decide(browser, "deny", ticket_in(refused))
        assert status_of() == "denied"


def test_right_that_is_lost_while_the_page_is_open_is_not_granted(browser: Client) -> None:
    ticket = ticket_in(look_up(browser, start(scope="sandbox:write")))
    with pikku_settings(LOGIN_SCOPES=["sandbox:read"]):
        assert decide(browser, "approve", ticket).status_code == 403
    assert status_of() == "pending"


def test_function_that_fails_grants_nothing_on_the_page(browser: Client) -> None:
    browser.raise_request_exception = False
    ticket = ticket_in(look_up(browser, start()))
    with pikku_settings(LOGIN_SCOPES="tests.login_scopes.fail"):
        assert look_up(browser, start()).status_code == 500
        assert decide(browser, "approve", ticket).status_code == 500
    assert set(DeviceCode.objects.values_list("status", flat=True)) == {"pending"}


def test_an_older_request_says_how_old_it_is(browser: Client) -> None:
    code = start()
    with freeze_time(timezone.now() + timedelta(minutes=4)):
        said = rows(look_up(browser, code).content.decode())["Asked"]
    assert said.replace("\xa0", " ") == "4 minutes ago"


def test_an_address_that_is_the_browsers_own_needs_no_words(browser: Client) -> None:
    code = start(context=AuditContext(source="web", ip="127.0.0.1", user_agent=""))
    response = look_up(browser, code)
    assert "another address" not in text_of(response)
    assert rows(response.content.decode())["From"] == "127.0.0.1"


def test_an_unknown_address_is_called_so(browser: Client) -> None:
    code = start(context=AuditContext(source="web", ip=None, user_agent=""))
    assert rows(look_up(browser, code).content.decode())["From"] == "an unknown address"


@pytest.mark.parametrize(
    "payload",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "'-alert(1)-'",
        "{{ 7|add:7 }}",
        "<a href='javascript:alert(1)'>",
        "</dd></dl><form action='//evil.example'>",
        "&lt;b&gt;",
    ],
)
def test_what_a_stranger_sends_is_text(payload: str, browser: Client) -> None:
    context = AuditContext(source="web", ip="198.51.100.7", user_agent=payload)
    html = look_up(browser, start(payload, context=context)).content.decode()
    assert html.count(escape(payload)) == 2
    assert payload == escape(payload) or payload not in html


def test_what_is_typed_is_text(browser: Client) -> None:
    html = look_up(browser, '"><b>').content.decode()
    assert 'value="&quot;&gt;&lt;b&gt;"' in html


def test_the_page_needs_no_context_processor(browser: Client, ada: Any) -> None:
    [engine] = settings.TEMPLATES
    with override_settings(TEMPLATES=[{**engine, "OPTIONS": {}}]):
        assert ada.get_username() in text_of(look_up(browser, start()))


@pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ar", "rtl")])
def test_the_page_says_in_which_direction_it_reads(
    language: str, direction: str, browser: Client
) -> None:
    with override_settings(LANGUAGE_CODE=language):
        html = browser.get(PAGE).content.decode()
    assert f'<html lang="{language}" dir="{direction}">' in html


# --- Codes that are wrong, over, or somebody else's ------------------------------------


@pytest.mark.parametrize("change", [str.lower, lambda code: f" {code.replace('-', ' ')} "])
def test_a_code_may_be_typed_in_small_letters_or_with_spaces(
    change: Callable[[str], str], browser: Client
) -> None:
    assert "Approve" in text_of(look_up(browser, change(start())))


@pytest.mark.parametrize("typed", [WRONG, "", "nonsense", "x" * 10_000, "\0"])
def test_a_wrong_code_may_be_typed_again(typed: str, browser: Client) -> None:
    response = look_up(browser, typed)
    html = response.content.decode()
    assert response.status_code == 400
    assert 'id="user_code"' in html
    assert 'role="alert"' in html
    assert "There is no such code." in html


@pytest.mark.parametrize("typed", [WRONG, "right"])
def test_after_five_wrong_codes_no_code_is_looked_up(typed: str, browser: Client) -> None:
    code = start()
    for _ in range(5):
        assert look_up(browser, WRONG).status_code == 400
    response = look_up(browser, code if typed == "right" else typed)
    assert response.status_code == 429
    assert response.headers["Retry-After"].isdecimal()
    assert "Wait 10 minutes." in text_of(response)
    assert DeviceCode.objects.get().user is None


def test_guesses_count_per_human_wherever_they_sit(browser: Client) -> None:
    for number in range(5):
        address = f"203.0.113.{number}"
        browser.post(PAGE, {"user_code": WRONG}, REMOTE_ADDR=address)
    assert browser.post(PAGE, {"user_code": WRONG}, REMOTE_ADDR="203.0.113.9").status_code == 429


def test_a_code_that_is_over_says_so(browser: Client) -> None:
    code = start()
    with freeze_time(timezone.now() + timedelta(minutes=10)):
        response = look_up(browser, code)
    assert response.status_code == 400
    assert "This code has expired" in text_of(response)
    assert "Start the login again" in text_of(response)


@pytest.mark.parametrize("verb", [approve, deny])
def test_a_code_that_was_used_says_so(verb: Callable[..., None], browser: Client, ada: Any) -> None:
    code = start()
    row = DeviceCode.objects.get()
    claim(row, ada)
    verb(row, ada)
    response = look_up(browser, code)
    assert response.status_code == 400
    assert "This code has been used already" in text_of(response)


def test_somebody_elses_code_shows_nothing_of_them(
    browser: Client, other: Client, ada: Any
) -> None:
    code = start("secret-tool")
    look_up(browser, code)
    response = look_up(other, code)
    assert response.status_code == 403
    assert "This code is not yours" in text_of(response)
    assert ada.get_username() not in text_of(response)
    assert "secret-tool" not in text_of(response)


# --- The decision ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [("approve", "approved", "is logged in as"), ("deny", "denied", "was not let in")],
)
def test_the_human_decides(step: str, status: str, words: str, browser: Client, ada: Any) -> None:
    ticket = ticket_in(look_up(browser, start()))
    assert words in text_of(decide(browser, step, ticket))
    row = DeviceCode.objects.get()
    assert (row.status, row.user) == (status, ada)
    event = AuditEvent.objects.get()
    assert (event.action, event.ip) == (f"login_{status}", "127.0.0.1")


@pytest.mark.parametrize(("first", "then"), [("deny", "approve"), ("approve", "deny")])
def test_who_decides_twice_is_told(first: str, then: str, browser: Client) -> None:
    ticket = ticket_in(look_up(browser, start()))
    decide(browser, first, ticket)
    before = status_of()
    response = decide(browser, then, ticket)
    assert response.status_code == 400
    assert "This code has been used already" in text_of(response)
    assert status_of() == before


def test_a_decision_that_comes_after_the_end_is_told(browser: Client) -> None:
    code = start()
    with freeze_time(timezone.now() + timedelta(minutes=8)):
        ticket = ticket_in(look_up(browser, code))
    with freeze_time(timezone.now() + timedelta(minutes=11)):
        response = decide(browser, "approve", ticket)
    assert "This code has expired" in text_of(response)
    assert status_of() == "pending"


@pytest.mark.parametrize("step", ["approve", "deny"])
def test_a_form_is_of_no_use_to_somebody_else(step: str, browser: Client, other: Client) -> None:
    ticket = ticket_in(look_up(browser, start()))
    response = decide(other, step, ticket)
    assert response.status_code == 400
    assert "This page is too old" in text_of(response)
    assert status_of() == "pending"


def test_a_form_is_of_use_for_five_minutes(browser: Client) -> None:
    ticket = ticket_in(look_up(browser, start()))
    with freeze_time(timezone.now() + timedelta(minutes=5, seconds=2)):
        response = decide(browser, "approve", ticket)
    assert "This page is too old" in text_of(response)
    assert status_of() == "pending"


@pytest.mark.parametrize("ticket", ["", "nonsense", "WzEsIjEiXQ:1abc:def", "\0", "x" * 10_000])
def test_a_forged_form_is_of_no_use(ticket: str, browser: Client) -> None:
    start()
    assert decide(browser, "approve", ticket).status_code == 400
    assert status_of() == "pending"


def test_a_form_for_a_code_that_is_gone_is_of_no_use(browser: Client) -> None:
    ticket = ticket_in(look_up(browser, start()))
    DeviceCode.objects.all().delete()
    assert decide(browser, "approve", ticket).status_code == 400


# --- Somebody else at the same browser -------------------------------------------------


def test_somebody_else_may_take_the_code_over(browser: Client, other: Client, ada: Any) -> None:
    code = start()
    form = {"step": "sign-in-again", "ticket": ticket_in(look_up(browser, code)), "user_code": code}
    response = browser.post(PAGE, form)
    assert f"user_code%3D{code}" in response.headers["Refresh"]
    assert SESSION_KEY not in browser.session
    assert DeviceCode.objects.get().user is None
    assert "Approve" in text_of(look_up(other, code))


def test_signing_out_takes_nobody_elses_code_away(browser: Client, other: Client, ada: Any) -> None:
    ticket = ticket_in(look_up(browser, start()))
    other.post(PAGE, {"step": "sign-in-again", "ticket": ticket})
    assert DeviceCode.objects.get().user == ada


def test_an_old_form_takes_nobodys_code_away(browser: Client, other: Client, ada: Any) -> None:
    code = start()
    form = {"step": "sign-in-again", "ticket": ticket_in(look_up(browser, code))}
    browser.post(PAGE, form)
    look_up(other, code)
    browser.force_login(ada, "django.contrib.auth.backends.ModelBackend")
    browser.post(PAGE, form)
    assert DeviceCode.objects.get().user not in {ada, None}


def test_signing_out_undoes_no_decision(browser: Client, ada: Any) -> None:
    ticket = ticket_in(look_up(browser, start()))
    decide(browser, "approve", ticket)
    browser.post(PAGE, {"step": "sign-in-again", "ticket": ticket})
    row = DeviceCode.objects.get()
    assert (row.status, row.user) == ("approved", ada)


# --- A recent sign-in, if the host demands one -----------------------------------------

MINUTE = timedelta(minutes=1)


def sign_in_again(browser: Client, response: HttpResponse) -> HttpResponse:
    """Press the button of the page that asks for it."""
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', response.content.decode()))
    fields.pop("csrfmiddlewaretoken", None)
    answer: Any = browser.post(PAGE, {**fields, "step": "sign-in-again"})
    return answer


@pytest.mark.parametrize("form", [{}, {"step": "approve"}])
def test_host_may_demand_a_recent_sign_in(form: dict[str, str], browser: Client) -> None:
    code = start()
    ticket = ticket_in(look_up(browser, code))
    later = timezone.now() + 2 * MINUTE
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE), freeze_time(later):
        response = browser.post(PAGE, {**form, "user_code": code, "ticket": ticket})
        assert "Sign in once more" in text_of(browser.get(PAGE))
    assert "Sign in once more" in text_of(response)
    assert f'name="user_code" value="{code}"' in response.content.decode()
    assert status_of() == "pending"


def test_old_session_can_still_deny(browser: Client) -> None:
    ticket = ticket_in(look_up(browser, start()))
    later = timezone.now() + 2 * MINUTE
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE), freeze_time(later):
        decide(browser, "deny", ticket)
    assert status_of() == "denied"


def test_recent_sign_in_is_enough_without_last_login(browser: Client, ada: Any) -> None:
    get_user_model().objects.filter(pk=ada.pk).update(last_login=None)
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE):
        assert "Approve" in text_of(look_up(browser, start()))


def test_sign_in_on_another_machine_makes_no_session_recent(browser: Client, ada: Any) -> None:
    later = timezone.now() + 2 * MINUTE
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE), freeze_time(later):
        Client().force_login(ada, BACKEND)
        assert "Sign in once more" in text_of(look_up(browser, start()))


def test_session_from_before_the_app_was_installed_leads_to_signing_in(
    browser: Client, ada: Any
) -> None:
    session = browser.session
    del session[SIGNED_IN_AT]
    session.save()
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE):
        page = look_up(browser, start())
        assert "Sign in once more" in text_of(page)
        assert "Refresh" in sign_in_again(browser, page).headers
        assert SESSION_KEY not in browser.session  # or the login page would send them back
        browser.force_login(ada, BACKEND)
        assert "Approve" in text_of(look_up(browser, start()))


def test_signing_in_again_lets_somebody_else_take_the_code(browser: Client, other: Client) -> None:
    code = start()
    ticket = ticket_in(look_up(browser, code))
    later = timezone.now() + 2 * MINUTE
    with pikku_settings(SIGN_IN_MAX_AGE=MINUTE), freeze_time(later):
        sign_in_again(browser, decide(browser, "approve", ticket))
    assert "Approve" in text_of(look_up(other, code))


# --- A terminal that will make keys ----------------------------------------------------

MANAGING = ["sandbox:read", "*", "auth:*"]


@pytest.fixture
def root(make_user: Callable[..., Any]) -> Client:
    """A superuser's browser, signed in."""
    client = Client()
    client.force_login(make_user("root", is_superuser=True), BACKEND)
    return client


@pytest.mark.parametrize(
    ("scope", "says", "acts"),
    [
        ("auth:mint", "will be able to make API keys", ["make new keys"]),
        ("auth:rotate sandbox:read", "will be able to make API keys", ["replace keys by new"]),
        ("auth:read", "will be able to manage API keys", ["see which keys"]),
        ("auth:revoke auth:read", "will be able to manage API keys", ["end keys", "see which"]),
        ("auth:*", "will be able to make", ["make new", "replace keys", "end keys", "see which"]),
    ],
)
def test_page_warns_of_a_terminal_that_will_manage_keys(
    scope: str, says: str, acts: list[str], root: Client
) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING):
        html = look_up(root, start(scope=scope)).content.decode()
    (warning,) = re.findall(r'<div class="note problem" id="keys">(.*?)</div>', html, re.DOTALL)
    assert says in warning
    items = re.findall("<li>(.*?)</li>", warning)
    assert [item[: len(act)] for item, act in zip(items, acts, strict=True)] == acts


@pytest.mark.parametrize("scope", ["", "*", "sandbox:read", "sandbox:read auth:introspect"])
def test_page_does_not_warn_of_any_other_terminal(scope: str, root: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING):
        html = look_up(root, start(scope=scope)).content.decode()
    assert "API keys" not in html
    assert "<h1>Let this terminal in?</h1>" in html


def test_page_shows_what_of_managing_keys_is_not_granted(browser: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING):
        html = look_up(browser, start(scope="sandbox:read auth:mint")).content.decode()
    assert rows(html)["Access"] == "sandbox : read"
    assert rows(html)["Not granted"].startswith("auth:mint It asked for this, but you don")
    assert "API keys" not in html


def test_page_shows_what_of_managing_keys_is_granted_beside_everything_else(root: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING):
        html = look_up(root, start(scope="* auth:mint")).content.decode()
    assert rows(html)["Access"] == "everything that you may do; auth : mint"


def test_old_session_lets_in_a_terminal_that_makes_no_keys(root: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING), freeze_time(timezone.now() + 16 * MINUTE):
        assert "Approve" in text_of(look_up(root, start(scope="sandbox:read")))


def test_terminal_that_asks_to_make_keys_leads_an_old_session_to_sign_in(root: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING), freeze_time(timezone.now() + 16 * MINUTE):
        code = start(scope="auth:mint")
        page = look_up(root, code)
        assert "Sign in once more" in text_of(page)
        assert DeviceCode.objects.get().user is None
        assert f"user_code%3D{code}" in sign_in_again(root, page).headers["Refresh"]
        assert SESSION_KEY not in root.session
        root.force_login(get_user_model().objects.get(), BACKEND)
        assert "is logged in as" in text_of(decide(root, "approve", ticket_in(look_up(root, code))))


def test_session_that_grows_old_before_the_page_lets_no_terminal_make_keys(root: Client) -> None:
    with pikku_settings(LOGIN_SCOPES=MANAGING), freeze_time(timezone.now() + 14 * MINUTE):
        ticket = ticket_in(look_up(root, start(scope="auth:mint")))
        with freeze_time(timezone.now() + 2 * MINUTE):
            assert "Sign in once more" in text_of(decide(root, "approve", ticket))
        assert status_of() == "pending"


def a_user_without_a_session(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A host's middleware that knows its users by something else."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = get_user_model().objects.get(pk=request.headers["X-User"])
        return get_response(request)

    return middleware


def test_user_without_a_session_is_not_sent_round_in_circles(ada: Any) -> None:
    """A login page that sends signed-in users back would return them here at once."""
    path = f"{__name__}.{a_user_without_a_session.__name__}"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, path]):
        response = Client().get(PAGE, headers={"X-User": str(ada.pk)})
    assert response.status_code == 200
    assert "Sign in once more" in text_of(response)


# --- A session that Django no longer accepts -------------------------------------------


def end_by_password(ada: Any, _settings: Any) -> None:
    ada.set_password("another-horse")
    ada.save()


def end_by_backend(_ada: Any, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = settings.AUTHENTICATION_BACKENDS[:1]


@pytest.mark.parametrize("end", [end_by_password, end_by_backend])
@pytest.mark.parametrize("has_middleware", [True, False])
def test_dead_session_approves_nothing_beside_a_live_bearer(
    has_middleware: bool, end: Callable[..., None], browser: Client, ada: Any, settings: Any
) -> None:
    ticket = ticket_in(look_up(browser, start("other")))
    end(ada, settings)
    headers = bearer_of(logged_in(get_user_model().objects.get(pk=ada.pk)))
    if has_middleware:
        ours = "pikku_auth.middleware.PikkuAuthMiddleware"
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, ours]
    body = {"step": "approve", "ticket": ticket}
    browser.post(PAGE, body, headers=headers)
    assert DeviceCode.objects.get(client_id="other").status == "pending"


# --- Forms of other sites, frames, caches ----------------------------------------------


@pytest.mark.parametrize("has_middleware", [True, False])
@pytest.mark.parametrize("step", ["approve", "deny", "look-up", "sign-in-again"])
def test_a_form_of_another_site_is_refused(step: str, has_middleware: bool, ada: Any) -> None:
    browser, code = Client(enforce_csrf_checks=True), start()
    browser.force_login(ada, "django.contrib.auth.backends.ModelBackend")
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    middleware = [name for name in settings.MIDDLEWARE if has_middleware or name != csrf]
    with override_settings(MIDDLEWARE=middleware):
        response = browser.post(PAGE, {"step": step, "user_code": code})
    assert response.status_code == 403
    assert DeviceCode.objects.get().user is None
    assert SESSION_KEY in browser.session


def test_the_pages_own_form_is_taken(ada: Any) -> None:
    browser, code = Client(enforce_csrf_checks=True), start()
    browser.force_login(ada, "django.contrib.auth.backends.ModelBackend")
    token = re.search(
        r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(PAGE).content.decode()
    )
    assert token
    response = browser.post(PAGE, {"user_code": code, "csrfmiddlewaretoken": token[1]})
    assert "Approve" in text_of(response)


POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def every_answer(browser: Client, code: str) -> list[Any]:
    seen = look_up(browser, code)
    return [
        Client().get(PAGE), Client().post(PAGE), browser.get(PAGE), look_up(browser, WRONG), seen,
        decide(browser, "approve", ticket_in(seen)), decide(browser, "approve", ""),
    ]  # fmt: skip


def test_no_answer_is_kept_framed_or_scripted(browser: Client, settings: Any) -> None:
    settings.X_FRAME_OPTIONS = "SAMEORIGIN"
    for response in every_answer(browser, start()):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Content-Security-Policy"] == POLICY
        assert response.headers["Referrer-Policy"] == "same-origin"


def test_a_count_of_wrong_codes_is_rolled_back_on_no_database() -> None:
    exempt: set[str] = resolve(PAGE).func._non_atomic_requests  # type: ignore[attr-defined]
    assert exempt == set(settings.DATABASES)


def test_no_page_needs_what_its_policy_forbids(browser: Client) -> None:
    for response in every_answer(browser, start()):
        html = response.content.decode()
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|data:|//", html)
        assert html.count("<h1>") == (response.status_code != 302)


def test_the_style_sheet_may_come_from_elsewhere(browser: Client) -> None:
    with override_settings(STATIC_URL="https://static.example/files/"):
        policy = browser.get(PAGE).headers["Content-Security-Policy"]
    assert "style-src https://static.example; img-src https://static.example;" in policy


def test_a_hosts_own_policy_is_kept(browser: Client) -> None:
    own = "default-src 'self'"
    path = f"{__name__}.{with_a_policy_of_its_own.__name__}"
    with override_settings(MIDDLEWARE=[path, *settings.MIDDLEWARE]):
        assert browser.get(PAGE).headers["Content-Security-Policy"] == own


def with_a_policy_of_its_own(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware of a host."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return middleware


# --- Credentials of programs -----------------------------------------------------------


@pytest.fixture
def bearer(ada: Any, remember_secret: Callable[[str], None]) -> dict[str, str]:
    """The header of a login of Ada's."""
    started = start_login("pikku-cli", context=ELSEWHERE)
    row = DeviceCode.objects.get()
    claim(row, ada)
    approve(row, ada)
    return {"Authorization": f"Bearer {redeem(started)}"}


def redeem(started: StartedLogin) -> str:
    response = Client().post(
        "/auth/device/token",
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": started.device_code.reveal(),
            "client_id": "pikku-cli",
        },
        content_type="application/json",
    )
    token: str = response.json()["access_token"]
    assert LoginSession.objects.count() == 1
    return token


def test_a_bearer_decides_nothing(browser: Client, bearer: dict[str, str]) -> None:
    ticket = ticket_in(look_up(browser, start("other")))
    response = Client().post(PAGE, {"step": "approve", "ticket": ticket}, headers=bearer)
    assert (response.status_code, response.json()["code"]) == (403, "browser_session_required")
    assert DeviceCode.objects.get(client_id="other").status == "pending"


@pytest.mark.parametrize("has_session", [True, False])
def test_an_api_key_decides_nothing(
    has_session: bool, browser: Client, mint: Callable[..., IssuedKey]
) -> None:
    ticket = ticket_in(look_up(browser, start()))
    caller = browser if has_session else Client()
    headers = key_headers(mint(scopes=["*"]))
    response = caller.post(PAGE, {"step": "approve", "ticket": ticket}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "browser_session_required")
    assert status_of() == "pending"
