"""The JavaScript of docs/websockets.md, on a page of the site, in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.docs.pages import examples
from tests.e2e import conftest as e2e
from tests.live.conftest import SECONDS, Server
from tests.logins import browser_of

pytestmark = pytest.mark.django_db(transaction=True)

browser, chromium, _quiet = e2e.browser, e2e.chromium, e2e._quiet

PAGE = "/api/whoami/"
WRITTEN = "wss://app.example.com/ws/events/"

# What the server says first, or why it says nothing.
RUN = """
const done = arguments[0];
(async () => {
%s
  socket.onmessage = (event) => done(JSON.parse(event.data));
  socket.onclose = (event) => done(`closed with ${event.code}`);
})().catch((error) => done(String(error)));
"""


@pytest.fixture
def signed_in(browser: Chrome, servers: dict[str, Server], ada: Any) -> Chrome:
    """Ada's, on a page of the Uvicorn's site."""
    url = f"{servers['uvicorn'].url}{PAGE}"
    browser.set_script_timeout(SECONDS)
    browser.get(url)  # a cookie can be set only where it belongs
    browser.add_cookie({"name": "sessionid", "value": browser_of(ada).cookies["sessionid"].value})
    browser.get(url)
    assert '"via":"session"' in browser.page_source
    return browser


def test_a_page_opens_a_socket_for_who_is_signed_in(
    signed_in: Chrome, servers: dict[str, Server], ada: Any
) -> None:
    (script,) = examples("websockets.md", "js")
    assert WRITTEN in script
    script = script.replace(WRITTEN, servers["uvicorn"].socket_url)
    told = signed_in.execute_async_script(RUN % script)  # type: ignore[no-untyped-call]
    assert isinstance(told, dict), told
    assert (told["via"], told["user"]) == ("session", ada.get_username())
