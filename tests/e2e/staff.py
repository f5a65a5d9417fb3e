"""What staff do in the admin, and what the site knows meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.e2e.conftest import Site, run_manage
from tests.e2e.steps import PASSWORD, PATIENCE, another_page, click

_MINT = """
import json
from pikku_auth.flows import mint_key
print(json.dumps([
    [issued.key.pk, issued.secret.reveal()]
    for issued in (mint_key("sandbox-runtime", name=name, scopes=["sandbox:read"])
                   for name in {names!r})
]))
"""


def in_project(site: Site, code: str) -> str:
    """Run ``code`` where the host's own would run; what it prints."""
    return run_manage(site.database, "shell", "--no-imports", "-c", code)


def mint_in_code(site: Site, names: Sequence[str]) -> list[tuple[int, str]]:
    """Keys with their ids and secrets."""
    return [(pk, secret) for pk, secret in json.loads(in_project(site, _MINT.format(names=names)))]


def call(site: Site, secret: str) -> int:
    """The status of a request with the key."""
    url = f"{site.url}/api/sandboxes/"
    return requests.get(url, headers={"x-api-key": secret}, timeout=PATIENCE).status_code


def enter(browser: Chrome, site: Site, who: str) -> None:
    """Sign in to the admin."""
    browser.get(f"{site.url}/admin/")
    browser.find_element(By.NAME, "username").send_keys(who)
    with another_page(browser):
        browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)


def open_page(browser: Chrome, site: Site, path: str) -> None:
    browser.get(f"{site.url}/admin/pikku_auth/{path}")


def choose_service_user(browser: Chrome, name: str, field: str = "service_user") -> None:
    """Type a name where service users are chosen, and take the first that comes."""
    click(browser, By.CSS_SELECTOR, f".field-{field} .select2-selection")
    search = ".select2-container--open .select2-search__field"
    browser.find_element(By.CSS_SELECTOR, search).send_keys(name)
    offered = f"//li[contains(@class, 'select2-results__option')][normalize-space()='{name}']"
    click(browser, By.XPATH, offered)


def submit(browser: Chrome, label: str) -> None:
    """Press the button, which is an input in Django's admin."""
    with another_page(browser):
        click(browser, By.CSS_SELECTOR, f"input[type=submit][value='{label}']")


def follow(browser: Chrome, label: str) -> None:
    with another_page(browser):
        click(browser, By.XPATH, f"//a[normalize-space()='{label}']")


def act_on_all(browser: Chrome, label: str) -> None:
    """Choose every row of the list, and what to do with them."""
    click(browser, By.ID, "action-toggle")
    Select(browser.find_element(By.NAME, "action")).select_by_visible_text(label)
    with another_page(browser):
        click(browser, By.CSS_SELECTOR, ".actions button")


def shown_secrets(browser: Chrome) -> list[str]:
    return [code.text for code in browser.find_elements(By.CSS_SELECTOR, ".pikku-secret code")]


def clipboard(browser: Chrome) -> str:
    """What a human would paste."""
    script = "navigator.clipboard.readText().then(arguments[0])"
    return str(browser.execute_async_script(script))


def allow_clipboard(browser: Chrome, site: Site) -> None:
    granted = {"origin": site.url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", granted)


def wait_for(browser: Chrome, condition: Any) -> None:
    WebDriverWait(browser, PATIENCE).until(lambda _: condition())


def everything_kept(browser: Chrome, site: Site) -> dict[str, str]:
    """Each place where something could have stayed."""
    history = browser.execute_cdp_cmd("Page.getNavigationHistory", {})
    files = sorted(site.database.parent.glob(f"{site.database.name}*"))
    script = "return JSON.stringify([{...localStorage}, {...sessionStorage}])"
    return {
        "the database": "".join(file.read_bytes().decode("latin-1") for file in files),
        "the server's log": site.log.read_text(),
        "the cookies": json.dumps(browser.get_cookies()),
        "the browser's history": json.dumps(history),
        "the browser's storage": browser.execute_script(script),
        "the addresses asked for": json.dumps(
            browser.execute_script("return performance.getEntries().map((entry) => entry.name)")
        ),
        "the page": browser.page_source,
    }
