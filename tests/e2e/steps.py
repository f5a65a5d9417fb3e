"""What a human does on the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PASSWORD = "correct-horse"
PATIENCE = 30
"""Seconds that anything may take."""


_NOT_YET = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)


@contextmanager
def another_page(browser: Chrome) -> Iterator[None]:
    """Wait until what is done in here has left the page, and the next one is whole."""
    page = browser.find_element(By.TAG_NAME, "html")
    yield
    WebDriverWait(browser, PATIENCE).until(lambda _: is_left(page))
    WebDriverWait(browser, PATIENCE, ignored_exceptions=[WebDriverException]).until(
        lambda chrome: chrome.execute_script("return document.readyState") == "complete"
    )


def click(browser: Chrome, by: str, what: str) -> None:
    """Click it once it is there. A script may draw it anew between finding and clicking."""
    WebDriverWait(browser, PATIENCE, ignored_exceptions=_NOT_YET).until(
        lambda chrome: chrome.find_element(by, what).click() or True
    )


def is_left(page: WebElement) -> bool:
    """Whether the browser has moved on. Chromium has several words for it."""
    try:
        page.is_enabled()
    except WebDriverException:
        return True
    return False


def sign_in(browser: Chrome, name: str = "ada") -> None:
    wait_for_title(browser, "Sign in")
    browser.find_element(By.NAME, "username").send_keys(name)
    with another_page(browser):
        browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)


def press(browser: Chrome, label: str) -> None:
    with another_page(browser):
        click(browser, By.XPATH, f"//button[normalize-space()='{label}']")


def tab_to(browser: Chrome, label: str) -> WebElement:
    """Press Tab until the button of that name has the focus."""
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        if focused.text == label:
            return focused
    raise AssertionError(f"{label} can't be reached by Tab")


def wait_for_title(browser: Chrome, title: str) -> None:
    WebDriverWait(browser, PATIENCE).until(lambda chrome: chrome.title.startswith(title))


def shown_code(browser: Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "p.code").text
