"""Every state of the page where a terminal is let in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.album import Album
from tests.e2e.conftest import Site
from tests.e2e.steps import press, sign_in, wait_for_title
from tests.logins import GRANT_TYPE

WRONG = "BBBB-BBBB"


class FromElsewhere(HTTPAdapter):
    """Calls from another address of this machine."""

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=("127.0.0.2", 0))


def send(site: Site, path: str, **fields: str) -> dict[str, Any]:
    """What a program on another machine is answered."""
    session = requests.Session()
    session.mount("http://", FromElsewhere())
    agent = {"User-Agent": "pikku-auth/0.1 (Linux)"}
    answer = session.post(
        f"{site.url}/auth/{path}",
        json={"client_id": "pikku-cli", **fields},
        headers=agent,
        timeout=30,
    )
    told: dict[str, Any] = answer.json()
    return told


def ask(site: Site, **fields: str) -> str:
    """The address that a program on another machine would print."""
    address: str = send(site, "device/code", **fields)["verification_uri_complete"]
    return address


def log_in(browser: Chrome, site: Site, client_id: str) -> None:
    """Approve a login of that program, and have it fetch its token."""
    told = send(site, "device/code", client_id=client_id)
    browser.get(told["verification_uri_complete"])
    press(browser, "Continue")
    press(browser, "Approve")
    code = {"device_code": told["device_code"], "grant_type": GRANT_TYPE}
    assert "access_token" in send(site, "device/token", client_id=client_id, **code)


def make_all_codes_old(site: Site) -> None:
    with closing(sqlite3.connect(site.database, timeout=30)) as database, database:
        database.execute("UPDATE pikku_auth_devicecode SET expires_at = '2000-01-01 00:00:00'")


def submit(browser: Chrome, code: str) -> None:
    field = browser.find_element(By.ID, "user_code")
    field.clear()
    field.send_keys(code)
    press(browser, "Continue")


def test_every_state_fits_every_screen(album: Album, browser: Chrome, site: Site) -> None:
    page = f"{site.url}/auth/activate"
    browser.get(page)
    album.take("sign-in", "Sign in")
    sign_in(browser)
    album.take("enter", "Log in a terminal")
    submit(browser, WRONG)
    album.take("wrong", "Log in a terminal")

    browser.get(ask(site))
    album.take("arrive", "Log in a terminal")
    press(browser, "Continue")
    album.take("confirm-everything", "Let this terminal in?")
    press(browser, "Deny")
    album.take("denied", "Denied")

    browser.get(ask(site, scope="sandbox:read openid"))
    press(browser, "Continue")
    album.take("confirm-partly", "Let this terminal in?")
    press(browser, "Deny")

    browser.get(ask(site, scope="sandbox:read auth:mint auth:rotate auth:introspect"))
    press(browser, "Continue")
    album.take("confirm-keys", "Let this terminal in?")
    press(browser, "Deny")

    address = ask(site, scope="sandbox:read sandbox:write")
    browser.get(address)
    press(browser, "Continue")
    album.take("confirm", "Let this terminal in?")
    press(browser, "Approve")
    album.take("approved", "Approved")
    browser.get(address)
    press(browser, "Continue")
    album.take("used", "This code has been used already")

    browser.get(f"{site.url}/auth/logins")
    album.take("logins-none", "Your logins")
    for client in ("pikku-cli", "W" * 191):
        log_in(browser, site, client)
    browser.get(f"{site.url}/auth/logins")
    album.take("logins", "Your logins")
    press(browser, "End all others")
    album.take("logins-ended", "Your logins")

    longest = ask(site, client_id="W" * 191, scope="sandbox:read")
    browser.get(longest)
    press(browser, "Continue")
    album.take("long", "Let this terminal in?")
    press(browser, "Not you?")
    sign_in(browser, "bob")
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    browser.delete_all_cookies()
    browser.get(longest)
    sign_in(browser)
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    album.take("foreign", "This code is not yours")

    address = ask(site)
    make_all_codes_old(site)
    browser.get(address)
    press(browser, "Continue")
    album.take("expired", "This code has expired")

    browser.get(page)
    for _ in range(5):
        submit(browser, WRONG)
    album.take("throttled", "Too many codes")
