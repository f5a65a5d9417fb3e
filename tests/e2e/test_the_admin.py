"""Staff at work in the admin: in a real browser, with all rights and with few."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.e2e.conftest import Site, Terminal
from tests.e2e.people import LIMITED, SUPERUSER, VIEWER
from tests.e2e.staff import (
    act_on_all,
    allow_clipboard,
    call,
    choose_service_user,
    clipboard,
    enter,
    everything_kept,
    follow,
    in_project,
    mint_in_code,
    open_page,
    shown_secrets,
    submit,
    wait_for,
)
from tests.e2e.steps import PATIENCE, another_page, click, press, sign_in, wait_for_title

Typing = Callable[..., Terminal]
both = pytest.mark.parametrize("who", [SUPERUSER, LIMITED])


def mint(browser: Chrome, site: Site) -> str:
    """Fill in the form, and read the secret."""
    open_page(browser, site, "apikey/add/")
    choose_service_user(browser, "sandbox-runtime")
    browser.find_element(By.NAME, "name").send_keys("production")
    click(browser, By.CSS_SELECTOR, "[value='sandbox:read']")
    submit(browser, "Mint the key")
    (secret,) = shown_secrets(browser)
    return secret


@both
def test_mint_copy_and_the_key_works(browser: Chrome, site: Site, who: str) -> None:
    enter(browser, site, who)
    secret = mint(browser, site)
    allow_clipboard(browser, site)
    button = browser.find_element(By.CSS_SELECTOR, ".pikku-copy")
    button.click()
    wait_for(browser, lambda: button.text == "Copied")
    assert clipboard(browser) == secret
    assert call(site, secret) == 200


@pytest.mark.parametrize(("paste", "status"), [("{}", "200"), ("{}x", "401"), ("", "401")])
def test_the_lines_to_try_it_with_work_as_they_stand(
    browser: Chrome, site: Site, tmp_path: Path, paste: str, status: str
) -> None:
    enter(browser, site, LIMITED)
    secret = mint(browser, site)
    lines = browser.find_element(By.CSS_SELECTOR, ".pikku-try").text
    (tmp_path / ".curlrc").write_text('write-out = "\\n%{http_code}"\n')
    done = subprocess.run(
        ["bash", "-c", lines], input=f"{paste.format(secret)}\n", text=True, capture_output=True,
        timeout=PATIENCE, check=True, env={**os.environ, "CURL_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.endswith(f"\n{status}")
    assert ('"service_user": "sandbox-runtime"' in done.stdout) == (status == "200")


def test_the_secret_stays_nowhere(browser: Chrome, site: Site) -> None:
    enter(browser, site, LIMITED)
    secret = mint(browser, site)
    browser.refresh()
    browser.get(f"{site.url}/admin/pikku_auth/apikey/")
    browser.back()
    browser.forward()
    for _ in range(2):
        browser.back()
        assert not shown_secrets(browser)
    browser.get(f"{site.url}/admin/pikku_auth/apikey/")
    kept = everything_kept(browser, site)
    assert [place for place, text in kept.items() if secret in text] == []
    count = "from pikku_auth.models import APIKey; print(APIKey.objects.count())"
    assert in_project(site, count) == "1\n"


def test_the_keyboard_is_enough(browser: Chrome, site: Site) -> None:
    enter(browser, site, LIMITED)
    open_page(browser, site, "apikey/add/?service_user=1")
    name = browser.find_element(By.NAME, "name")
    name.send_keys("typed", Keys.TAB, Keys.SPACE)
    with another_page(browser):
        name.send_keys(Keys.ENTER)
    (secret,) = shown_secrets(browser)
    assert call(site, secret) == 200


@both
def test_fifty_are_revoked_at_once(browser: Chrome, site: Site, who: str) -> None:
    keys = mint_in_code(site, [f"worker-{number}" for number in range(50)])
    assert {call(site, secret) for _, secret in keys} == {200}
    enter(browser, site, who)
    open_page(browser, site, "apikey/")
    act_on_all(browser, "Revoke")
    wait_for_title(browser, "Revoke 50 API keys of sandbox-runtime?")
    browser.find_element(By.NAME, "reason").send_keys("found in a log")
    submit(browser, "Revoke")
    assert "Revoked 50 keys." in browser.find_element(By.CLASS_NAME, "messagelist").text
    assert {call(site, secret) for _, secret in keys} == {401}


@both
def test_a_rotated_key_works_beside_its_successor_for_a_while(
    browser: Chrome, site: Site, who: str
) -> None:
    ((pk, old),) = mint_in_code(site, ["production"])
    enter(browser, site, who)
    open_page(browser, site, f"apikey/{pk}/change/")
    follow(browser, "Rotate")
    wait_for_title(browser, "Rotate 1 API key of sandbox-runtime?")
    Select(browser.find_element(By.NAME, "overlap")).select_by_visible_text("lives on for 1 hour")
    submit(browser, "Rotate")
    (new,) = shown_secrets(browser)
    assert (call(site, old), call(site, new)) == (200, 200)
    an_hour_later(site)
    assert (call(site, old), call(site, new)) == (401, 200)


def an_hour_later(site: Site) -> None:
    """Every end comes an hour nearer: a server's clock can't be moved from here."""
    in_project(
        site,
        "from datetime import timedelta; from django.db.models import F\n"
        "from pikku_auth.models import APIKey\n"
        "APIKey.objects.update(expires_at=F('expires_at') - timedelta(hours=1))",
    )


@pytest.mark.parametrize("box", ["secret", "q"])
@both
def test_a_leaked_secret_is_pasted_and_found(
    browser: Chrome, site: Site, who: str, box: str
) -> None:
    (_, (pk, leaked)) = mint_in_code(site, ["other", "production"])
    enter(browser, site, who)
    open_page(browser, site, "apikey/")
    with another_page(browser):
        browser.find_element(By.NAME, box).send_keys(leaked, Keys.ENTER)
    assert browser.current_url.endswith(f"/apikey/{pk}/change/")
    assert "This is what the secret belongs to." in browser.page_source
    kept = everything_kept(browser, site)
    assert [place for place, text in kept.items() if leaked in text] == []


@pytest.mark.parametrize("page", ["apikey/", "serviceuser/", "loginsession/", "auditevent/"])
def test_a_line_of_a_log_is_no_address_whichever_list_it_is_searched_in(
    browser: Chrome, site: Site, page: str
) -> None:
    ((pk, leaked),) = mint_in_code(site, ["production"])
    enter(browser, site, SUPERUSER)
    open_page(browser, site, page)
    with another_page(browser):
        line = f"'x-api-key: {leaked}',"
        browser.find_element(By.NAME, "q").send_keys(line, Keys.ENTER)
    assert browser.current_url.endswith(f"/apikey/{pk}/change/")
    kept = everything_kept(browser, site)
    assert [place for place, text in kept.items() if leaked in text] == []


@both
def test_a_deactivated_machine_is_out_with_all_its_keys(
    browser: Chrome, site: Site, who: str
) -> None:
    keys = mint_in_code(site, ["one", "two", "three"])
    enter(browser, site, who)
    open_page(browser, site, "serviceuser/")
    follow(browser, "sandbox-runtime")
    follow(browser, "Deactivate")
    assert "3 active keys" in browser.find_element(By.ID, "content-main").text
    submit(browser, "Deactivate")
    assert {call(site, secret) for _, secret in keys} == {401}


@both
def test_a_revoked_login_is_over_in_the_terminal(
    browser: Chrome, site: Site, who: str, type_command: Typing
) -> None:
    terminal = type_command("login", "--no-browser")
    browser.get(terminal.read_until(r"(http://\S+\?user_code=\S+)"))
    sign_in(browser, "bob")
    press(browser, "Continue")
    press(browser, "Approve")
    assert terminal.finish()[0] == 0
    browser.delete_all_cookies()
    enter(browser, site, who)
    open_page(browser, site, "loginsession/")
    act_on_all(browser, "End")
    submit(browser, "End")
    assert type_command("whoami").finish()[0] == 4


def test_who_may_only_look_finds_no_button(browser: Chrome, site: Site) -> None:
    ((pk, _),) = mint_in_code(site, ["production"])
    enter(browser, site, VIEWER)
    for page in ("apikey/", f"apikey/{pk}/change/", "serviceuser/", "serviceuser/1/change/"):
        open_page(browser, site, page)
        buttons = browser.find_elements(By.CSS_SELECTOR, ".pikku-act, .addlink, .actions select")
        assert [button.text for button in buttons] == []


def test_the_trail_can_be_taken_along(browser: Chrome, site: Site) -> None:
    mint_in_code(site, ["production"])
    enter(browser, site, VIEWER)
    open_page(browser, site, "auditevent/?action__exact=key_minted")
    link = browser.find_element(By.CLASS_NAME, "pikku-export").get_attribute("href")
    cookies = {cookie["name"]: cookie["value"] for cookie in browser.get_cookies()}
    lines = requests.get(str(link), cookies=cookies, timeout=PATIENCE).text.splitlines()
    assert len(lines) == 2
    assert "Key minted: sandbox:read" in lines[1]
