"""Numbers in addresses, ids and form values are plain digits, however the site writes numbers.

With ``USE_THOUSAND_SEPARATOR`` a template writes ``1,234`` for 1234: as ``?ids=1,234`` that is
the address of two other rows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils.formats import number_format

import pikku_auth
from pikku_auth.flows import create_service_user, mint_key
from pikku_auth.models import APIKey, AuditEvent, DeviceCode, LoginSession, ServiceUser
from tests.logins import browser_of, logged_in, started_and_claimed

# MariaDB commits what changes a table.
pytestmark = pytest.mark.django_db(transaction=connection.vendor == "mysql")

FIRST = 1_234_567
_AFTER_THE_LAST = {
    "sqlite": [
        "DELETE FROM sqlite_sequence WHERE name = '{table}'",
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {first} - 1)",
    ],
    "postgresql": ["SELECT setval(pg_get_serial_sequence('{table}', 'id'), {first} - 1)"],
    "mysql": ["ALTER TABLE {table} AUTO_INCREMENT = {first}"],
}
TEMPLATES = sorted((Path(pikku_auth.__file__).parent / "templates").rglob("*.html"))
IN_AN_ATTRIBUTE = re.compile(r'[\w-]+="[^"]*?{{([^}]*)}}')
GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:[.,' \u066c\u2019\u00a0\u202f]\d{2,3})+(?![\d.])")
READ_BY_PROGRAMS = ("href", "src", "action", "id", "name", "value", "for", "aria-", "data-", "max")


@pytest.fixture(params=["de", "ar", "hi"])
def language(request: pytest.FixtureRequest, settings: Any) -> str:
    """One that writes large numbers in groups."""
    code: str = request.param
    settings.LANGUAGE_CODE = code
    settings.USE_THOUSAND_SEPARATOR = True
    settings.NUMBER_GROUPING = 3
    assert number_format(FIRST) in {"1.234.567", "1,234,567"}
    return code


@pytest.fixture
def boss(db: None, make_user: Any) -> Client:
    """The browser of somebody who may do everything, on a site whose ids are large."""
    with connection.cursor() as cursor:
        for model in (APIKey, AuditEvent, DeviceCode, LoginSession, ServiceUser):
            for statement in _AFTER_THE_LAST[connection.vendor]:
                cursor.execute(statement.format(table=model._meta.db_table, first=FIRST))
    owner = create_service_user("payments")
    for name in ("one", "two", "three"):
        mint_key(owner, name=name)
    user = make_user("root", is_staff=True, is_superuser=True)
    logged_in(user)
    return browser_of(user)


class Attributes(HTMLParser):
    """Every attribute of a page that a program reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(name, value) for name, value in attrs if value is not None]


def mangled(text: str) -> list[str]:
    """The attributes in which a number is not plain ASCII digits."""
    return [
        f"{name}={value!r}"
        for name, value in Attributes(text).found
        if name.startswith(READ_BY_PROGRAMS) and _has_mangled_number(value)
    ]


def _has_mangled_number(value: str) -> bool:
    if any(character.isdigit() and not character.isascii() for character in value):
        return True
    return any(not _is_address(found) for found in GROUPED.findall(value))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def own_admin_pages() -> Iterator[str]:
    """Every address that the admin of this app has, with a row of each model."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "pikku_auth":
            continue
        row = model._default_manager.order_by("pk").first()
        assert row is not None, f"Make a {model.__name__} with a large id for this test."
        for pattern in model_admin.get_urls():
            if pattern.name is not None:
                yield from _addresses_of(pattern, model_admin, row.pk)


def _addresses_of(pattern: Any, model_admin: Any, pk: int) -> Iterator[str]:
    parameters = set(pattern.pattern.converters)
    name = f"admin:{pattern.name}"
    if parameters == {"name"}:
        for act in model_admin.row_actions:
            yield f"{reverse(name, args=[act.name])}?ids={pk}"
    else:
        assert parameters <= {"object_id"}, f"Say here what {pattern} takes."
        yield reverse(name, args=[pk] * len(parameters))


def links_of(text: str, page: str) -> Iterator[str]:
    """Where the links of a page lead, in the admin of this app."""
    for name, value in Attributes(text).found:
        if name == "href" and (link := urljoin(page, value)).startswith("/admin/pikku_auth/"):
            yield link


def _kind_of(link: str) -> tuple[str, frozenset[str]]:
    """Links of one kind differ in the ids and values in them only."""
    parts = urlsplit(link)
    names = frozenset(name for name, _ in parse_qsl(parts.query))
    return re.sub(r"\d+", "", parts.path), names


def ids_asked_about(page: str) -> str:
    found = re.search(r'name="ids" value="([^"]*)"', page)
    assert found
    return found[1]


@pytest.mark.usefixtures("language")
def test_every_admin_page_writes_numbers_for_programs_in_plain_digits(boss: Client) -> None:
    waiting, seen, wrong = list(own_admin_pages()), set(), []
    assert len(waiting) > 20
    while waiting:
        page = waiting.pop()
        if _kind_of(page) in seen or len(_kind_of(page)[1]) > 1:  # not each combination of filters
            continue
        seen.add(_kind_of(page))
        response = boss.get(page)
        assert response.status_code in {200, 302, 403, 405}, page
        if response.status_code == 200 and response["Content-Type"].startswith("text/html"):
            text = response.content.decode()
            wrong += [f"{page}: {problem}" for problem in mangled(text)]
            waiting += links_of(text, page)
    assert wrong == []


@pytest.mark.usefixtures("language")
def test_each_button_on_a_page_is_about_its_row_and_no_other(boss: Client) -> None:
    rows = [APIKey.objects.earliest("pk"), ServiceUser.objects.get(), LoginSession.objects.get()]
    for row in rows:
        assert row.pk == FIRST
        page = f"/admin/pikku_auth/{row._meta.model_name}/{row.pk}/change/"
        links = [
            link for link in links_of(boss.get(page).content.decode(), page) if "?ids=" in link
        ]
        assert links
        for link in links:
            assert ids_asked_about(boss.get(link).content.decode()) == str(row.pk)


@pytest.mark.usefixtures("language")
def test_the_button_revokes_its_own_key_and_no_other(boss: Client) -> None:
    key = APIKey.objects.earliest("pk")
    page = boss.get(f"/admin/pikku_auth/apikey/{key.pk}/change/").content.decode()
    found = re.search(r'href="([^"]*act/revoke/[^"]*)"', page)
    assert found
    link = html.unescape(found[1])
    ids = ids_asked_about(boss.get(link).content.decode())
    boss.post(link, {"ids": ids, "confirm": "yes", "reason": "leaked"})
    assert list(APIKey.objects.exclude(revoked_at=None)) == [key]


@pytest.mark.usefixtures("language")
@pytest.mark.parametrize("action", ["rotate", "revoke", "disable", "delete_selected"])
def test_each_action_of_the_list_asks_about_the_rows_that_were_chosen(
    boss: Client, action: str
) -> None:
    keys = list(APIKey.objects.order_by("pk"))
    if action == "delete_selected":
        APIKey.objects.update(enabled=False, revoked_at=keys[0].created_at)
    chosen = {"action": action, "_selected_action": [key.pk for key in keys]}
    text = boss.post("/admin/pikku_auth/apikey/", chosen).content.decode()
    assert mangled(text) == []
    for key in keys:
        assert re.search(rf'value="[^"]*\b{key.pk}\b[^"]*"', text)


@pytest.mark.usefixtures("language")
def test_the_page_with_a_new_secret_has_plain_numbers(boss: Client) -> None:
    link = f"/admin/pikku_auth/apikey/act/rotate/?ids={FIRST}"
    given = {"ids": str(FIRST), "confirm": "yes", "overlap": "24h"}
    text = boss.post(link, given).content.decode()
    assert "pka_" in text
    assert mangled(text) == []


@pytest.mark.usefixtures("language")
def test_the_approval_page_has_plain_numbers(boss: Client, make_user: Any) -> None:
    user = make_user("eve")
    started = started_and_claimed(user)
    browser = browser_of(user)
    pages = [browser.get("/auth/activate")]
    pages.append(browser.post("/auth/activate", {"user_code": started.user_code.reveal()}))
    ticket = re.search(r'name="ticket" value="([^"]*)"', pages[-1].content.decode())
    assert ticket
    pages.append(browser.post("/auth/activate", {"step": "approve", "ticket": ticket[1]}))
    for page in pages:
        assert page.status_code == 200
        assert mangled(page.content.decode()) == []


def test_no_template_writes_a_number_of_a_row_or_a_loop_into_an_attribute_as_people_read_it() -> (
    None
):
    number = re.compile(r"\b(pk|id|counter0?|length|count)\b")
    wrong = [
        f"{template.name}: {expression}"
        for template in TEMPLATES
        for expression in IN_AN_ATTRIBUTE.findall(template.read_text())
        if number.search(expression.split("|")[0]) and "unlocalize" not in expression
    ]
    assert wrong == []
