"""What docs/login.md shows, run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from pikku_auth.core.user_codes import normalise_user_code
from pikku_auth.flows.device_flow import approve, claim, look_up
from pikku_auth.models import DeviceCode, LoginSession
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run, text_of
from tests.logins import browser_of

MakeUser = Callable[..., Any]


def address_told_by(client: Client) -> str:
    """Where a human is sent."""
    body = {"client_id": "pikku-cli"}
    answer = client.post("/auth/device/code", body, content_type="application/json")
    return str(answer.json()["verification_uri"])


@pytest.mark.django_db
def test_it_is_mounted_where_clients_look(settings: Any) -> None:
    mounting, _ = examples("login.md")
    settings.ROOT_URLCONF = tuple(run(mounting, {"urlpatterns": []})["urlpatterns"])
    assert address_told_by(Client()) == "http://testserver/auth/activate"


@pytest.mark.django_db
@pytest.mark.parametrize(("is_staff", "arrives"), [(True, True), (False, False)])
def test_the_admins_page_lets_staff_sign_in(
    settings: Any, make_user: MakeUser, is_staff: bool, arrives: bool
) -> None:
    (setting,) = re.findall(r'`(LOGIN_URL = "[\w:]+")`', text_of("login.md"))
    settings.LOGIN_URL = run(setting, {})["LOGIN_URL"]
    name = make_user("ada", is_staff=is_staff).get_username()
    client = Client()
    page = client.get("/auth/activate", {"user_code": "BBBB-BBBB"}, follow=True)
    ((url, _),) = page.redirect_chain
    typed = {"username": name, "password": "correct-horse", "next": next_of(url)}
    answer = client.post(url, typed)
    assert (answer.get("Location") == "/auth/activate?user_code=BBBB-BBBB") is arrives


def next_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["next"][0]


@pytest.mark.django_db
def test_behind_a_proxy_the_address_is_the_one_outside(settings: Any) -> None:
    _, proxy = examples("login.md")
    for name, value in run(proxy, {}).items():
        if name.isupper():
            setattr(settings, name, value)
    settings.ALLOWED_HOSTS = ["app.example.com"]
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
    }
    assert address_told_by(Client(headers=headers)) == "https://app.example.com/auth/activate"
    assert DeviceCode.objects.get().ip == "198.51.100.7"


@pytest.mark.django_db
def test_a_template_of_the_hosts_takes_the_place_of_ours(
    settings: Any, make_user: MakeUser, tmp_path: Path
) -> None:
    (template,) = examples("login.md", "html")
    (name,) = re.findall(r"\{# templates/(\S+) #\}", template)
    theirs = "<title>My site</title>{% block content %}{% endblock %}"
    for path, text in ((name, template), ("my_site/base.html", theirs)):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    html = browser_of(make_user()).get("/auth/activate").content.decode()
    assert html.lstrip().startswith("<title>My site</title>")
    assert 'name="user_code"' in html


@pytest.mark.django_db(transaction=True)
@pikku_settings(DEVICE_CODE={"interval": timedelta(seconds=1)})
def test_the_terminal_shows_what_is_shown(
    in_a_terminal: Callable[..., Any], live_server: Any, make_user: MakeUser, home: Path
) -> None:
    (console,) = examples("login.md", "console")
    ada = make_user("ada")
    running = in_a_terminal("login", "--url", live_server.url, DISPLAY=":0")
    asked = running.screen.read_until("to quit)")
    code = asked.partition("one-time code: ")[2].split()[0]
    assert normalise_user_code(code)
    found = look_up(code, user=ada)
    assert claim(found, ada)
    approve(found, ada)
    told = asked + running.screen.read_until("session.json")
    assert running.end() == (0, "")
    told = re.sub(r"\rWaiting for approval[^\r]*|\r *(?=\r)", "", told)
    lines = [line.strip() for line in told.replace("\r", "\n").splitlines() if line.strip()]
    assert lines == expected_of(console, live_server.url, code, ada, home)


def expected_of(console: str, url: str, code: str, user: Any, home: Path) -> list[str]:
    """The lines of the page, of this server, this code, this human and this home."""
    typed, *lines = console.splitlines()
    assert typed == "$ pikku-auth login --url https://app.example.com"
    expires_at = LoginSession.objects.get().expires_at
    text = "\n".join(lines).replace("https://app.example.com", url)
    text = text.replace("WDJB-MJHT", code).replace("as ada ", f"as {user.get_username()} ")
    text = re.sub(r"expires \S+ \S+ UTC", f"expires {expires_at:%Y-%m-%d %H:%M} UTC", text)
    return text.replace("~", str(home)).splitlines()
