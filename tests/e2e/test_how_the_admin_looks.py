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

_A_BUSY_SITE = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from pikku_auth.flows import *
from pikku_auth.models import APIKey
who = Origin("admin", get_user_model().objects.get(username="carol"), ip="192.0.2.7")
now = timezone.now()
def mint(service, name, days_ago=0, **options):
    options.setdefault("scopes", ["sandbox:read"])
    minted = now - timedelta(days=days_ago)
    return mint_key(service, name=name, origin=who, now=minted, **options).key
def used(key, **ago):
    seen = {"last_used_at": now - timedelta(**ago), "last_used_ip": "198.51.100.23"}
    APIKey.objects.filter(pk=key.pk).update(**seen)
used(mint("builder", "nightly builds", 80), hours=20)
used(mint("sandbox-runtime", "production", 40, scopes=["sandbox:read", "sandbox:write"],
          metadata={"sandbox": "b2f7"}), minutes=4)
revoke_key(mint("sandbox-runtime", "Ada's laptop", 12), reason="found in a log", origin=who)
disable_key(mint("builder", "trial", 5), origin=who)
mint("builder", "last year", 100)
rotated = mint("sandbox-runtime", "staging", 30)
used(rotated, hours=2)
rotate_key(rotated, origin=who)
"""


@pytest.fixture
def wide(album: Album, site: Site) -> Album:
    in_project(site, _A_BUSY_SITE)
    album.widest = 1280
    return album


def test_every_page_fits_every_screen(wide: Album, browser: Chrome, site: Site) -> None:
    enter(browser, site, LIMITED)
    for name, path, title in (
        ("admin-keys", "apikey/", "Select API key"),
        ("admin-key", "apikey/2/change/", "production"),
        ("admin-history", "apikey/6/history/", "Change history"),
        ("admin-rotate", "apikey/act/rotate/?ids=1,2", "Rotate 2 API keys?"),
        ("admin-revoke", "apikey/act/revoke/?ids=1,2", "Revoke 2 API keys?"),
        ("admin-service-users", "serviceuser/", "Select service user"),
        ("admin-service-user", "serviceuser/1/change/", "sandbox-runtime"),
        ("admin-deactivate", "serviceuser/act/deactivate/?ids=1", "Deactivate 1 service user?"),
        ("admin-logins", "loginsession/", "Select login"),
        ("admin-events", "auditevent/", "Select audit event"),
    ):
        open_page(browser, site, path)
        wide.take(name, title)


def test_minting_fits_every_screen(wide: Album, browser: Chrome, site: Site) -> None:
    enter(browser, site, SUPERUSER)
    open_page(browser, site, "apikey/add/")
    choose_service_user(browser, "sandbox-runtime")
    browser.find_element(By.NAME, "name").send_keys("production")
    browser.find_element(By.CSS_SELECTOR, "[value='sandbox:read']").click()
    browser.find_element(By.TAG_NAME, "summary").click()
    wide.take("admin-mint", "Mint an API key")
    browser.find_element(By.NAME, "networks").send_keys("192.0.2.1/24")
    submit(browser, "Mint the key")
    wide.take("admin-wrong", "Mint an API key")
    browser.find_element(By.NAME, "networks").clear()
    submit(browser, "Mint the key")
    wide.take("admin-issued", "The new key")
