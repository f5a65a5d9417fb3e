"""Every page of the admin, for eyes; the documentation's pictures are among them."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.album import Album
from tests.e2e.conftest import Site
from tests.e2e.people import LIMITED, SUPERUSER
from tests.e2e.staff import (
    choose_service_user,
    enter,
    in_project,
    open_page,
    submit,
)
from tests.e2e.steps import click

_A_BUSY_SITE = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from pikku_auth.flows import *
from pikku_auth.models import APIKey
who = AuditContext("admin", get_user_model().objects.get(username="carol"), ip="192.0.2.7")
now = timezone.now()
def mint(service, name, days_ago=0, **options):
    options.setdefault("scopes", ["sandbox:read"])
    minted = now - timedelta(days=days_ago)
    return mint_key(service, name=name, context=who, now=minted, **options).key
def used(key, **ago):
    seen = {"last_used_at": now - timedelta(**ago), "last_used_ip": "198.51.100.23"}
    APIKey.objects.filter(pk=key.pk).update(**seen)
used(mint("builder", "nightly builds", 80), hours=20)
used(mint("sandbox-runtime", "production", 40, scopes=["sandbox:read", "sandbox:write"],
          metadata={"sandbox": "b2f7"}), minutes=4)
revoke_key(mint("sandbox-runtime", "Ada's laptop", 12), reason="found in a log", context=who)
disable_key(mint("builder", "trial", 5), context=who)
mint("builder", "last year", 100)
rotated = mint("sandbox-runtime", "staging", 30)
used(rotated, hours=2)
rotate_key(rotated, context=who)
"""

_LONG_WORDS = """
from django.contrib.auth import get_user_model
from pikku_auth.flows import *
from tests.logins import logged_in
name = "customer_integration_synchronisation_production_europe_west"
human = get_user_model().objects.create_user("augusta.ada.lovelace@analytical-engines.example.com")
address = "2001:db8:85a3:8d3:1319:8a2e:370:7348"
where = AuditContext("admin", human, ip=address, user_agent="Firefox/150")
machine = create_service_user(name, description=f"For {name}", context=where)
key = mint_key(machine, name=name, scopes=["sandbox:read", "sandbox:write"], context=where).key
login = logged_in(human, scope="sandbox:read sandbox:write", client_id=name, context=where).login
revoke_login(login, reason=name, context=where)
rotate_key(key, context=where)
revoke_key(key, reason=name, context=where)
"""


_FAMILIES = """
from pikku_auth.core.delegation import Delegation
from pikku_auth.flows import *
from tests.families import child_of
scopes = ["auth:mint", "auth:rotate", "sandbox:read"]
who = Delegation(("builder",), ("sandbox_id",))
for name in ("orchestrator", "planner"):
    parent = mint_key("sandbox-runtime", name=name, scopes=scopes, delegation=who, lifetime=None)
    for number in range(30):
        child_of(parent, name=f"{name} {number}", scopes=["sandbox:read"])
disable_key(parent.key)
"""


@pytest.fixture
def wide(album: Album, site: Site) -> Album:
    in_project(site, _A_BUSY_SITE)
    album.widest = 1280
    return album


@pytest.fixture
def long_words(site: Site) -> None:
    """Names and addresses as long as they come, and without a space."""
    in_project(site, _LONG_WORDS)


def test_long_words_fit_every_screen(
    wide: Album, browser: Chrome, site: Site, long_words: None
) -> None:
    enter(browser, site, LIMITED)
    for name, path, title in (
        ("admin-long-keys", "apikey/", "Select API key"),
        ("admin-long-key", "apikey/8/change/", "customer"),
        ("admin-long-history", "apikey/8/history/", "Change history"),
        ("admin-long-revoke", "apikey/act/revoke/?ids=1,9", "Revoke 2 API keys of 2 service users"),
        ("admin-long-service-users", "serviceuser/", "Select service user"),
        ("admin-long-service-user", "serviceuser/3/change/", "customer"),
        ("admin-long-logins", "loginsession/", "Select login"),
        ("admin-long-login", "loginsession/1/change/", "customer"),
        ("admin-long-end", "loginsession/act/revoke-all/?ids=1", "End all logins of augusta"),
        ("admin-long-events", "auditevent/", "Select audit event"),
    ):
        open_page(browser, site, path)
        wide.take(name, title)


def test_pages_of_a_new_install_fit_every_screen(album: Album, browser: Chrome, site: Site) -> None:
    in_project(site, "from pikku_auth.models import *; ServiceUser.objects.all().delete()")
    album.widest = 1280
    enter(browser, site, SUPERUSER)
    for name, path, title in (
        ("admin-new-mint", "apikey/add/", "Mint an API key"),
        ("admin-new-keys", "apikey/", "Select API key"),
        ("admin-new-logins", "loginsession/", "Select login"),
        ("admin-new-service-users", "serviceuser/", "Select service user"),
    ):
        open_page(browser, site, path)
        album.take(name, title)


def test_every_page_fits_every_screen(wide: Album, browser: Chrome, site: Site) -> None:
    enter(browser, site, LIMITED)
    for name, path, title in (
        ("admin-app", "", "Machine authentication administration"),
        ("admin-keys", "apikey/", "Select API key"),
        ("admin-key", "apikey/2/change/", "production"),
        ("admin-history", "apikey/6/history/", "Change history"),
        ("admin-rotate", "apikey/act/rotate/?ids=1,2", "Rotate 2 API keys of 2 service users?"),
        ("admin-bounds", "apikey/act/bounds/?ids=1,2", "Change the bounds of 2 API keys of 2"),
        ("admin-revoke", "apikey/act/revoke/?ids=1,2", "Revoke 2 API keys of 2 service users?"),
        ("admin-service-users", "serviceuser/", "Select service user"),
        ("admin-service-user", "serviceuser/1/change/", "sandbox-runtime"),
        ("admin-deactivate", "serviceuser/act/deactivate/?ids=1", "Deactivate 1 service user?"),
        ("admin-logins", "loginsession/", "Select login"),
        ("admin-events", "auditevent/", "Select audit event"),
    ):
        open_page(browser, site, path)
        wide.take(name, title)


def test_keys_that_make_keys_fit_every_screen(wide: Album, browser: Chrome, site: Site) -> None:
    in_project(site, _FAMILIES)
    enter(browser, site, SUPERUSER)
    parent, child = 8, 40
    for name, path, title in (
        ("admin-parent", f"apikey/{parent}/change/", "orchestrator"),
        ("admin-child", f"apikey/{child}/change/", "planner 0"),
        ("admin-children", f"apikey/?parent={parent}", "Select API key"),
        ("admin-suspended", "apikey/?state=suspended", "Select API key"),
        ("admin-revoke-parent", f"apikey/act/revoke/?ids={parent}", "Revoke 1 API key"),
        ("admin-rotate-parent", f"apikey/act/rotate/?ids={parent}", "Rotate 1 API key"),
    ):
        open_page(browser, site, path)
        wide.take(name, title)
    open_page(browser, site, "apikey/add/")
    click(browser, By.XPATH, "//summary[contains(., 'Managing keys')]")
    click(browser, By.CSS_SELECTOR, "[value='auth:mint']")
    choose_service_user(browser, "builder", "for_services")
    wide.take("admin-mint-managing", "Mint an API key")


def test_minting_fits_every_screen(wide: Album, browser: Chrome, site: Site) -> None:
    enter(browser, site, SUPERUSER)
    open_page(browser, site, "apikey/add/")
    choose_service_user(browser, "sandbox-runtime")
    browser.find_element(By.NAME, "name").send_keys("production")
    click(browser, By.CSS_SELECTOR, "[value='sandbox:read']")
    click(browser, By.TAG_NAME, "summary")
    wide.take("admin-mint", "Mint an API key")
    browser.find_element(By.NAME, "networks").send_keys("192.0.2.1/24")
    submit(browser, "Mint the key")
    wide.take("admin-wrong", "Mint an API key")
    browser.find_element(By.NAME, "networks").clear()
    submit(browser, "Mint the key")
    wide.take("admin-issued", "The new key")
