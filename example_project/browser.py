"""What a browser does with pages and their forms: for the demo, and for tests over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests


class NoSuchForm(Exception):
    """The page has no form with that button and those fields."""


class Browser:
    """A cookie jar, and the page that is shown."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.page = requests.Response()

    def open(self, url: str) -> None:
        self.page = self.session.get(url, timeout=10)

    def submit(self, button: str = "", **typed: str) -> None:
        """Fill in the form that has these fields, and press the button of this value."""
        for form in _forms_of(self.page.text):
            if button in form.buttons and typed.keys() <= form.fields.keys():
                data = {**form.fields, **typed, **form.buttons[button]}
                self._post(urljoin(self.page.url, form.action), data)
                return
        raise NoSuchForm(f"{self.page.status_code} {self.page.url} has no form for {button!r}")

    def _post(self, url: str, data: dict[str, str]) -> None:
        parts = urlsplit(self.page.url)
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}", "Referer": self.page.url}
        self.page = self.session.post(url, data=data, headers=headers, timeout=10)


@dataclass
class _Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, dict[str, str]] = field(default_factory=lambda: {"": {}})
    """What each one adds to the fields, by its value."""


def _forms_of(html: str) -> list[_Form]:
    reader = _Reader()
    reader.feed(html)
    return reader.forms


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "form":
            self.forms.append(_Form(given.get("action", "")))
            self._is_inside = True
        elif self._is_inside and tag == "button" and name:
            self.forms[-1].buttons[value] = {name: value}
        elif self._is_inside and tag == "input" and name:
            self.forms[-1].fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
