"""The settings of the host: each has a default, and each change counts at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from pytest_django import Settings

from pikku_auth.conf import DEFAULTS, conf
from pikku_auth.flows.accounts import create_user
from pikku_auth.flows.login_scopes import default_login_scopes
from tests import mappings

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"

# setting, the property's default, a value of the host's, what the property is then
TABLE: list[tuple[str, Any, Any, Any]] = [
    ("CACHE", None, "default", "default"),
    (
        "IMPORTED_KEYS",
        None,
        {"headers": ["X-API-Key", "X-Old", "authorization: Token"], "until": date(2027, 6, 30)},
        (True, {"token"}, ("HTTP_X_OLD",), datetime(2027, 7, 1, tzinfo=UTC)),
    ),
    (
        "DEVICE_CODE",
        (timedelta(minutes=10), timedelta(seconds=5), None),
        {"lifetime": timedelta(minutes=30)},
        (timedelta(minutes=30), timedelta(seconds=5), None),
    ),
    ("DEVICE_CLIENT_IDS", None, ["pikku-cli"], ["pikku-cli"]),
    ("ISSUER", None, "https://app.example.com", "https://app.example.com"),
    ("SERVICE_USER_FACTORY", create_user, "django.contrib.auth.get_user_model", get_user_model),
    ("DEFAULT_KEY_LIFETIME", timedelta(days=90), None, None),
    ("SIGN_IN_MAX_AGE", None, timedelta(minutes=15), timedelta(minutes=15)),
    ("KEY_HEADER", "x-api-key", "x-machine-token", "x-machine-token"),
    ("LOGIN_LIFETIME", timedelta(days=7), timedelta(hours=8), timedelta(hours=8)),
    ("LOGIN_MAIL", False, True, True),
    ("LOGIN_MAX_LIFETIME", timedelta(days=90), None, None),
    ("LOGIN_SCOPES", default_login_scopes, ["sandbox:read"], ["sandbox:read"]),
    ("MAP_KEY", None, "tests.mappings.note", mappings.note),
    ("MAP_LOGIN", None, "tests.mappings.anote", mappings.anote),
    ("MAY_MANAGE", None, "tests.mappings.anote", mappings.anote),
    ("MAX_KEY_LIFETIME", None, timedelta(days=30), timedelta(days=30)),
    ("NUM_PROXIES", 0, 2, 2),
    ("PREFIXES", ("pka", "pks"), {"login": "acme"}, ("pka", "acme")),
    ("RATE_LIMIT_HEADERS", False, True, True),
    ("REQUIRE_HTTPS", False, True, True),
    ("SCOPES", None, ["b:y", "b:x", "a:z"], {"a": ["z"], "b": ["x", "y"]}),
    ("UNSCOPED_VIEWS", "closed", "open", "open"),
]
DEFAULT_OF = [(name, default) for name, default, _, _ in TABLE]
CHANGES = [(name, value, expected) for name, _, value, expected in TABLE]


def test_each_setting_is_in_the_table() -> None:
    assert sorted(name for name, *_ in TABLE) == sorted(DEFAULTS)


def test_there_are_few_settings() -> None:
    """Twenty, and three that nothing could stand in for.

    The issuer, who is mailed of a login, and headers of a mere draft.
    """
    assert len(DEFAULTS) <= 23


def test_each_setting_is_documented() -> None:
    page = DOCS.read_text()
    assert [name for name in DEFAULTS if f"`{name}`" not in page] == []


def values() -> dict[str, Any]:
    return {name: getattr(conf, name.lower()) for name in DEFAULTS}


def test_a_setting_that_is_not_given_has_its_default(settings: Settings) -> None:
    settings.PIKKU_AUTH = {}
    assert values() == dict(DEFAULT_OF)


def test_a_host_need_not_have_the_settings_at_all(settings: Settings) -> None:
    del settings.PIKKU_AUTH
    assert values() == dict(DEFAULT_OF)


@pytest.mark.parametrize(("name", "value", "expected"), CHANGES)
def test_a_change_counts_at_once_and_so_does_its_end(
    settings: Settings, name: str, value: object, expected: object
) -> None:
    settings.PIKKU_AUTH = {}
    before = getattr(conf, name.lower())
    with override_settings(PIKKU_AUTH={name: value}):
        assert getattr(conf, name.lower()) == expected
    assert getattr(conf, name.lower()) == before


@pytest.mark.parametrize(
    ("header", "meta"),
    [
        ("x-api-key", "HTTP_X_API_KEY"),
        ("X-Api-Key", "HTTP_X_API_KEY"),
        ("token", "HTTP_TOKEN"),
    ],
)
def test_the_header_is_looked_up_as_the_server_spells_it(
    settings: Settings, header: str, meta: str
) -> None:
    settings.PIKKU_AUTH = {"KEY_HEADER": header}
    assert conf.key_header_meta == meta
