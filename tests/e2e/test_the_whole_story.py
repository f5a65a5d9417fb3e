"""Logging in from a terminal, as a human lives it."""

from __future__ import annotations

import json
from collections.abc import Callable

import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import Site, Terminal
from tests.e2e.steps import press, shown_code, sign_in, tab_to, wait_for_title

Typing = Callable[..., Terminal]

ADDRESS = r"(http://\S+\?user_code=\S+)"
CODE = r"\n([A-Z]{4}-[A-Z]{4})\s"


def start_login(type_command: Typing, *arguments: str) -> tuple[Terminal, str, str]:
    terminal = type_command("login", "--no-browser", *arguments)
    return terminal, terminal.read_until(ADDRESS), terminal.read_until(CODE)


def whoami(site: Site, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{site.url}/api/whoami/", headers=headers, timeout=30)


def test_log_in_work_and_log_out(type_command: Typing, browser: Chrome, site: Site) -> None:
    terminal, address, code = start_login(type_command)
    browser.get(address)
    sign_in(browser)
    wait_for_title(browser, "Log in a terminal")
    assert browser.find_element(By.ID, "user_code").get_attribute("value") == code
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    assert shown_code(browser) == code
    press(browser, "Approve")
    wait_for_title(browser, "Approved")
    assert terminal.finish() == (0, "")
    assert "ada" in terminal.screen

    status, answer = type_command("whoami", "--json").finish()
    assert status == 0
    assert "ada" in json.dumps(json.loads(answer))

    status, answer = type_command("token").finish()
    token = answer.strip()
    assert status == 0
    assert whoami(site, token).json() == {"user": "ada", "via": "login", "scopes": ["*"]}

    assert type_command("logout").finish()[0] == 0
    assert whoami(site, token).status_code == 401
    assert type_command("whoami").finish()[0] == 4


def test_scopes_asked_for_are_shown_and_hold(
    type_command: Typing, browser: Chrome, site: Site
) -> None:
    terminal, address, _ = start_login(type_command, "--scope", "sandbox:read")
    browser.get(address)
    sign_in(browser)
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    assert "sandbox: read" in browser.find_element(By.TAG_NAME, "dl").text
    press(browser, "Approve")
    assert terminal.finish()[0] == 0
    token = type_command("token").finish()[1].strip()
    url, headers = f"{site.url}/api/sandboxes/", {"Authorization": f"Bearer {token}"}
    assert requests.get(url, headers=headers, timeout=30).status_code == 200
    assert requests.post(url, headers=headers, json={}, timeout=30).status_code == 403


def test_the_keyboard_is_enough(type_command: Typing, browser: Chrome, site: Site) -> None:
    terminal, _, code = start_login(type_command)
    browser.get(f"{site.url}/auth/activate")
    sign_in(browser)
    wait_for_title(browser, "Log in a terminal")
    browser.switch_to.active_element.send_keys(code.lower().replace("-", " "), Keys.ENTER)
    wait_for_title(browser, "Let this terminal in?")
    tab_to(browser, "Approve").send_keys(Keys.ENTER)
    wait_for_title(browser, "Approved")
    assert terminal.finish()[0] == 0


def test_deny_comes_before_approve_and_the_terminal_is_told(
    type_command: Typing, browser: Chrome
) -> None:
    terminal, address, _ = start_login(type_command)
    browser.get(address)
    sign_in(browser)
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    tab_to(browser, "Deny").send_keys(Keys.ENTER)
    wait_for_title(browser, "Denied")
    assert terminal.finish()[0] == 3
    assert "denied" in terminal.screen
    assert type_command("token").finish() == (4, "")


def test_somebody_else_can_take_over_at_the_browser(type_command: Typing, browser: Chrome) -> None:
    terminal, address, code = start_login(type_command)
    browser.get(address)
    sign_in(browser, "ada")
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    press(browser, "Not you?")
    sign_in(browser, "bob")
    wait_for_title(browser, "Log in a terminal")
    press(browser, "Continue")
    wait_for_title(browser, "Let this terminal in?")
    assert shown_code(browser) == code
    press(browser, "Approve")
    assert terminal.finish()[0] == 0
    assert "bob" in terminal.screen
