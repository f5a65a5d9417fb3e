"""Pictures of a page, light and dark, on a phone and on a desktop, to look at.

They go to the folder that ``PICTURES`` names, or to a temporary one. What can be checked
without eyes is: nothing sticks out to the side, there is one heading, no button of the admin
lies on it, and on a desktop no table is cut off.
"""

from __future__ import annotations

import base64
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.steps import wait_for_title

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES = ("light", "dark")

_UNDER_BUTTONS = """
const buttons = [...document.querySelectorAll(".object-tools li")];
const titles = [...document.querySelectorAll("#content > h1, #content > h2")];
const overlaps = (a, b) => a.top < b.bottom && b.top < a.bottom;
return titles.filter((title) => buttons.some((button) =>
    overlaps(title.getBoundingClientRect(), button.getBoundingClientRect())
)).map((title) => title.textContent);
"""
_CUT_OFF = """
return [...document.querySelectorAll("table")].map((table) => table.parentElement)
    .filter((around) => around.scrollWidth > around.clientWidth)
    .map((around) => around.textContent.trim().slice(0, 100));
"""


class Album:
    """``widest`` is how much of a wide screen is worth a picture: of the middle, in pixels."""

    def __init__(self, browser: Chrome, folder: Path, widest: int = 640) -> None:
        self.browser = browser
        self.folder = folder
        self.widest = widest

    def take(self, name: str, title: str) -> None:
        """A picture of the page for each size and scheme."""
        wait_for_title(self.browser, title)
        for size, (width, height) in SIZES.items():
            metrics = {"width": width, "height": height, "mobile": size == "phone"}
            metrics["deviceScaleFactor"] = 1
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            for scheme in SCHEMES:
                feature = {"name": "prefers-color-scheme", "value": scheme}
                command = "Emulation.setEmulatedMedia"
                self.browser.execute_cdp_cmd(command, {"features": [feature]})
                self._check(width)
                self._save(self.folder / f"{name}-{size}-{scheme}.png", width)
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _check(self, width: int) -> None:
        widest = self.browser.execute_script("return document.documentElement.scrollWidth")
        assert widest <= width, "something sticks out to the side"
        assert len(self.browser.find_elements(By.TAG_NAME, "h1")) == 1
        assert self.browser.execute_script(_UNDER_BUTTONS) == []
        if width == SIZES["desktop"][0]:
            assert self.browser.execute_script(_CUT_OFF) == []

    def _save(self, file: Path, width: int) -> None:
        height = self.browser.execute_script("return document.documentElement.scrollHeight")
        middle = min(width, self.widest)
        clip = {"x": (width - middle) / 2, "y": 0, "width": middle, "height": height, "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip}
        picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", options)
        file.write_bytes(base64.b64decode(picture["data"]))
