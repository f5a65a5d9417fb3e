"""Projects that register every model in their admin, before ours or after."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec

import pytest
from django.apps import apps
from django.contrib import admin

from pikku_auth.admin import APIKeyAdmin, AuditEventAdmin, LoginSessionAdmin, ServiceUserAdmin
from pikku_auth.admin.base import register
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser

SCREENS = {
    APIKey: APIKeyAdmin,
    AuditEvent: AuditEventAdmin,
    LoginSession: LoginSessionAdmin,
    ServiceUser: ServiceUserAdmin,
}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> admin.AdminSite:
    """The host's site, with nothing registered."""
    site = admin.AdminSite()
    monkeypatch.setattr(admin, "site", site)
    return site


def register_every_model(site: admin.AdminSite) -> None:
    """A common recipe."""
    for model in apps.get_models():
        if not site.is_registered(model):
            site.register(model)


def register_ours() -> None:
    for model, screen in SCREENS.items():
        assert register(model)(screen) is screen


def test_ours_take_the_place_of_plain_screens(site: admin.AdminSite) -> None:
    register_every_model(site)
    register_ours()
    assert {model: type(site.get_model_admin(model)) for model in SCREENS} == SCREENS


def test_ours_stay_when_the_recipe_comes_later(site: admin.AdminSite) -> None:
    register_ours()
    register_every_model(site)
    assert {model: type(site.get_model_admin(model)) for model in SCREENS} == SCREENS


def test_our_modules_can_be_imported_after_the_recipe(site: admin.AdminSite) -> None:
    register_every_model(site)
    for module in ("audit", "keys", "logins", "service_users"):
        source = find_spec(f"pikku_auth.admin.{module}")
        assert source is not None
        assert source.loader is not None
        source.loader.exec_module(module_from_spec(source))
    screens = {type(site.get_model_admin(model)).__name__ for model in SCREENS}
    assert screens == {screen.__name__ for screen in SCREENS.values()}
