"""Each system check: what sets it off, what does not, and that its reader is helped."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.core.checks import CheckMessage, Error, run_checks
from django.core.checks import Warning as CheckWarning
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import include, path, re_path
from pytest_django import Settings
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from pikku_auth import checks
from pikku_auth.backends import ServiceUserBackend
from pikku_auth.checks import versions
from pikku_auth.checks.databases import check_prepared
from pikku_auth.conf import DEFAULTS, conf
from pikku_auth.decorators import browser_session_required, require_principal
from pikku_auth.flows import IssuedKey, authenticate
from pikku_auth.rest_framework import PikkuAuthentication
from pikku_auth.testing import key_headers

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs" / "checks.md"


class OursWithARealm(PikkuAuthentication):
    """What a host may make of ours."""

    www_authenticate_realm = "sandboxes"


OURS = "pikku_auth.rest_framework.PikkuAuthentication"
OURS_IN_FULL = "pikku_auth.rest_framework.authentication.PikkuAuthentication"
SESSION = "rest_framework.authentication.SessionAuthentication"
BACKEND = "pikku_auth.backends.ServiceUserBackend"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
SQLITE = "django.db.backends.sqlite3"
MIDDLEWARE = "pikku_auth.middleware.PikkuAuthMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
REMOTE_USER = "tests.mappings.AnotherAuthenticationMiddleware"

pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")


@pytest.fixture(autouse=True)
def _plain_sqlite(settings: Settings) -> None:
    """Whatever database the suite runs on, a clean project here is the same."""
    settings.DATABASES = {"default": {"ENGINE": SQLITE}}


@pytest.fixture(autouse=True)
def _mended_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever versions the suite runs on, a clean project here has no known hole."""
    install(monkeypatch)


def install(
    monkeypatch: pytest.MonkeyPatch, django: tuple[int, ...] = (6, 1, 0), requests: str = "2.34.2"
) -> None:
    monkeypatch.setattr(versions, "django", SimpleNamespace(VERSION=(*django, "final", 0)))
    monkeypatch.setattr(versions, "version", {"requests": requests}.__getitem__)


def locked_sqlite(**changes: Any) -> dict[str, dict[str, Any]]:
    options = {"transaction_mode": "IMMEDIATE"}
    database = {"ENGINE": SQLITE, "ATOMIC_REQUESTS": True, "OPTIONS": options}
    return {"default": {**database, **changes}}


def asking(*classes: str) -> dict[str, Any]:
    """``REST_FRAMEWORK`` of a host whose views are for those who are signed in."""
    return {
        "DEFAULT_AUTHENTICATION_CLASSES": [*classes],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    }


class OursFirst(APIView):
    authentication_classes = [PikkuAuthentication, SessionAuthentication]


class SessionFirst(APIView):
    authentication_classes = [SessionAuthentication, PikkuAuthentication]


ONLY_PAGES = (
    path("", lambda request: HttpResponse()),
    path("password/", browser_session_required(lambda request: HttpResponse())),
    path("auth/", include("pikku_auth.urls")),
    path("admin/", admin.site.urls),
)


# What in a host's settings sets each check off, and it alone.
SET_OFF: dict[str, dict[str, Any]] = {
    "pikku_auth.E001": {"PIKKU_AUTH": ["PREFIXES"]},
    "pikku_auth.E002": {"PIKKU_AUTH": {"PREFXES": {}}},
    "pikku_auth.E003": {"PIKKU_AUTH": {"PREFIXES": "-"}},
    "pikku_auth.E005": {"AUTHENTICATION_BACKENDS": [MODEL_BACKEND]},
    "pikku_auth.E006": {"REST_FRAMEWORK": asking(SESSION, OURS)},
    "pikku_auth.E007": {"USE_TZ": False},
    "pikku_auth.W008": {"PIKKU_AUTH": {"KEY_HEADER": "x-machine"}},
    "pikku_auth.W009": {"DATABASES": locked_sqlite()},
    "pikku_auth.E024": {"PIKKU_AUTH": {"CACHE": "default"}},
    "pikku_auth.E010": {"MIDDLEWARE": [MIDDLEWARE, AUTHENTICATION]},
    "pikku_auth.W013": {"USE_X_FORWARDED_HOST": True},
    "pikku_auth.E015": {"ROOT_URLCONF": (path("", SessionFirst.as_view()),)},
    "pikku_auth.W021": {
        "REST_FRAMEWORK": asking(SESSION),
        "ROOT_URLCONF": ONLY_PAGES,
        "LOGIN_URL": "admin:login",
    },
    "pikku_auth.W022": {"LOGIN_URL": "/nowhere/"},
    "pikku_auth.W026": {
        "ROOT_URLCONF": (
            path("api/", OursFirst.as_view()),
            path(".well-known/", include("pikku_auth.well_known")),
        )
    },
    "pikku_auth.W027": {"PIKKU_AUTH": {"ISSUER": "https://app.example.com"}},
    "pikku_auth.W028": {
        "PIKKU_AUTH": {
            "IMPORTED_KEYS": {"headers": ["Authorization: Token"], "until": date(2026, 1, 1)}
        }
    },
    "pikku_auth.W016": {"REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": [OURS]}},
}


POSTGRESQL = "django.db.backends.postgresql"


def databases(**zones: str) -> dict[str, dict[str, Any]]:
    """SQLite databases that keep times of these zones; ``default`` is always there."""
    local = {name: {"ENGINE": SQLITE, "TIME_ZONE": zone} for name, zone in zones.items()}
    return {"default": {"ENGINE": SQLITE}, **local}


class OursInTenants:
    """Keeps our tables in each database but ``warehouse``."""

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        return db != "warehouse" if app_label == "pikku_auth" else None


OURS_IN_TENANTS = [f"{__name__}.OursInTenants"]


def set_all(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


def own_messages() -> list[CheckMessage]:
    """What our checks say when Django runs them all."""
    return [message for message in run_checks() if str(message.id).startswith("pikku_auth.")]


def source_of_the_checks() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "pikku_auth" / "checks").glob("*.py"))


def without(settings: Settings, app: str) -> list[str]:
    return [installed for installed in settings.INSTALLED_APPS if installed != app]


@pytest.mark.django_db
def test_a_clean_project_hears_nothing() -> None:
    assert own_messages() == []


@pytest.mark.django_db
def test_a_host_that_sets_nothing_hears_nothing(settings: Settings) -> None:
    del settings.PIKKU_AUTH
    del settings.REST_FRAMEWORK
    assert own_messages() == []


@pytest.mark.django_db
@pytest.mark.parametrize("value", [[], "x", None, 7])
def test_settings_that_are_no_dict_are_an_error_and_not_a_crash(
    settings: Settings, value: object
) -> None:
    settings.PIKKU_AUTH = value
    assert [message.id for message in own_messages()] == ["pikku_auth.E001"]


@pytest.mark.django_db
def test_settings_that_are_no_dict_can_be_told_by_a_project_whose_urls_ask_for_the_header(
    settings: Settings,
) -> None:
    """As django-ninja's do, when they are imported."""
    settings.PIKKU_AUTH = []
    assert conf.key_header == DEFAULTS["KEY_HEADER"]


@pytest.mark.django_db
def test_settings_that_are_no_dict_let_nobody_in(
    settings: Settings, mint: Callable[..., IssuedKey]
) -> None:
    headers = key_headers(mint())
    settings.PIKKU_AUTH = []
    with pytest.raises(AttributeError):
        authenticate(RequestFactory().get("/", headers=headers))


@pytest.mark.django_db
@pytest.mark.parametrize(("check_id", "values"), SET_OFF.items())
def test_each_check_is_set_off_alone_and_hints_at_the_way_out(
    settings: Settings, check_id: str, values: dict[str, Any]
) -> None:
    set_all(settings, values)
    messages = own_messages()
    assert [message.id for message in messages] == [check_id]
    message = messages[0]
    assert message.hint
    assert isinstance(message, {"E": Error, "W": CheckWarning}[check_id[11]])


@pytest.mark.parametrize(
    "sign",
    [
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        {"USE_X_FORWARDED_HOST": True},
        {"USE_X_FORWARDED_PORT": True},
    ],
)
@pytest.mark.parametrize(("number", "told"), [(0, ["pikku_auth.W013"]), (1, [])])
def test_proxy_that_is_not_counted_is_told(
    settings: Settings, sign: dict[str, Any], number: int, told: list[str]
) -> None:
    set_all(settings, {**sign, "PIKKU_AUTH": {"NUM_PROXIES": number}})
    assert [message.id for message in checks.check_host()] == told


@pytest.mark.parametrize(
    ("installed", "hint"),
    [
        ((5, 2, 0), "Django>=5.2.13,<5.3"),
        ((5, 2, 12), "Django>=5.2.13,<5.3"),
        ((5, 2, 13), None),
        ((6, 0, 3), "Django>=6.0.4,<6.1"),
        ((6, 0, 4), None),
        ((6, 1, 0), None),
        ((7, 0, 0), None),
    ],
)
def test_django_with_a_known_hole_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[int, ...], hint: str | None
) -> None:
    install(monkeypatch, django=installed)
    found = [(message.id, message.hint) for message in checks.check_versions()]
    assert found == ([("pikku_auth.W019", f'pip install "{hint}"')] if hint else [])


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ("2.31.0", ["pikku_auth.W020"]),
        ("2.32.3", ["pikku_auth.W020"]),
        ("2.32.4", []),
        ("3.0.0rc1", []),
    ],
)
def test_requests_with_a_known_hole_is_told(
    monkeypatch: pytest.MonkeyPatch, installed: str, told: list[str]
) -> None:
    install(monkeypatch, requests=installed)
    assert [message.id for message in checks.check_versions()] == told


@pytest.mark.parametrize(
    "changes",
    [
        {"REST_FRAMEWORK": asking(OURS, SESSION)},
        {"MIDDLEWARE": [AUTHENTICATION, MIDDLEWARE]},
        {"ROOT_URLCONF": (path("", require_principal(lambda request: HttpResponse())),)},
        {"ROOT_URLCONF": (path("", OursFirst.as_view()),)},
        {"ROOT_URLCONF": ()},
        pytest.param(
            {"ASGI_APPLICATION": "elsewhere.application"},
            marks=pytest.mark.skipif(not find_spec("channels"), reason="needs Channels"),
        ),
    ],
)
def test_any_way_in_for_credentials_is_enough(settings: Settings, changes: dict[str, Any]) -> None:
    set_all(settings, {**SET_OFF["pikku_auth.W021"], "MIDDLEWARE": [], **changes})
    assert "pikku_auth.W021" not in [message.id for message in checks.check_views()]


@pytest.mark.parametrize(
    ("login_url", "is_found"),
    [
        ("admin:login", True),
        ("/admin/login/", True),
        ("https://sso.example.com/login", True),
        ("//sso.example.com/login", True),
        ("nowhere:login", False),
        ("/accounts/login/", False),
        ("login", False),
    ],
)
def test_page_for_signing_in_has_to_be_one(
    settings: Settings, login_url: str, is_found: bool
) -> None:
    settings.ROOT_URLCONF = ONLY_PAGES
    settings.LOGIN_URL = login_url
    told = "pikku_auth.W022" in [message.id for message in checks.check_views()]
    assert told is not is_found
    settings.ROOT_URLCONF = (path("admin/", admin.site.urls),)
    assert "pikku_auth.W022" not in [message.id for message in checks.check_views()]


@pytest.mark.parametrize("app", ["django.contrib.auth", "django.contrib.contenttypes"])
def test_a_missing_app_is_named_and_the_hint_says_where_it_goes(
    settings: Settings, app: str
) -> None:
    settings.INSTALLED_APPS = without(settings, app)
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.E004"
    assert app in message.msg
    assert message.hint == f"Add '{app}' to INSTALLED_APPS."


def test_an_app_listed_by_its_configuration_is_not_missing(settings: Settings) -> None:
    others = without(settings, "django.contrib.auth")
    settings.INSTALLED_APPS = ["django.contrib.auth.apps.AuthConfig", *others]
    assert checks.check_host() == []


@pytest.mark.django_db
def test_an_error_stops_a_command(settings: Settings) -> None:
    set_all(settings, SET_OFF["pikku_auth.E005"])
    with pytest.raises(SystemCheckError, match=r"pikku_auth\.E005"):
        call_command("check")


@pytest.mark.parametrize(
    ("engine", "options", "is_told"),
    [
        ("django.db.backends.postgresql", {}, True),
        ("django.contrib.gis.db.backends.postgis", {"sslmode": "require"}, True),
        ("django.db.backends.postgresql", {"prepare_threshold": 5}, False),
        ("django.db.backends.postgresql", {"prepare_threshold": None}, False),
        ("django.db.backends.sqlite3", {}, False),
    ],
)
def test_check_deploy_tells_that_the_look_up_could_be_prepared(
    monkeypatch: pytest.MonkeyPatch, engine: str, options: Any, is_told: bool
) -> None:
    of_a_host = SimpleNamespace(
        DATABASES={"default": {"ENGINE": engine, "OPTIONS": options}}, DATABASE_ROUTERS=[]
    )
    monkeypatch.setattr("pikku_auth.checks.databases.settings", of_a_host)
    told = [message.id for message in check_prepared()]
    assert told == (["pikku_auth.I023"] if is_told else [])


REDIS = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://redis"}


@pytest.mark.parametrize(
    ("atomic", "middleware", "is_told"),
    [(True, [], True), (True, [MIDDLEWARE], False), (False, [], False)],
)
def test_a_cache_that_would_be_empty_is_a_warning(
    settings: Settings, atomic: bool, middleware: list[str], is_told: bool
) -> None:
    pytest.importorskip("redis")
    settings.CACHES = {"default": REDIS}
    settings.PIKKU_AUTH = {"CACHE": "default"}
    settings.DATABASES = {"default": {"ENGINE": POSTGRESQL, "ATOMIC_REQUESTS": atomic}}
    settings.MIDDLEWARE = [AUTHENTICATION, *middleware]
    told = [message.id for message in [*checks.check_settings(), *checks.check_host()]]
    assert told == (["pikku_auth.W025"] if is_told else [])


WELL_KNOWN = include("pikku_auth.well_known")


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ((path(".well-known/", WELL_KNOWN),), None),
        ((), "mounted nowhere"),
        ((path("auth/.well-known/", WELL_KNOWN),), "at /auth/.well-known/oauth-protected-resource"),
        ((path("well-known/", WELL_KNOWN),), "at /well-known/oauth-protected-resource"),
    ],
)
@pytest.mark.parametrize("issuer", ["https://app.example.com", "https://app.example.com/one"])
def test_metadata_has_to_be_where_clients_look(
    settings: Settings, issuer: str, routes: Any, told: str | None
) -> None:
    settings.PIKKU_AUTH = {"ISSUER": issuer}
    settings.ROOT_URLCONF = routes
    found = [message for message in checks.check_views() if message.id == "pikku_auth.W027"]
    assert [told in message.msg for message in found] == ([] if told is None else [True])


def test_project_without_routes_hears_nothing_of_metadata(settings: Settings) -> None:
    del settings.ROOT_URLCONF
    assert checks.check_views() == []


def test_the_ids_are_numbered_without_a_gap_and_never_twice() -> None:
    of_ninja = (ROOT / "pikku_auth" / "contrib" / "ninja" / "checks.py").read_text()
    ids = re.findall(r'id="pikku_auth\.[EWI](\d{3})"', source_of_the_checks() + of_ninja)
    assert sorted(ids) == [f"{number:03}" for number in range(1, len(ids) + 1)]


def test_each_id_is_set_off_by_a_test() -> None:
    ids = re.findall(r'id="(pikku_auth\.[EWI]\d{3})"', source_of_the_checks())
    assert set(ids) == {*SET_OFF, *SET_OFF_BELOW, *SET_OFF_ELSEWHERE}


SET_OFF_BELOW = [
    f"pikku_auth.{check}" for check in ("E004", "W014", "W018", "W019", "W020", "I023", "W025")
]
SET_OFF_ELSEWHERE = ["pikku_auth.W017"]
"""In ``tests/plain_django``."""
OF_NINJA = ["pikku_auth.E011", "pikku_auth.W012"]
"""Set off in ``tests/ninja``."""


@pytest.mark.parametrize("check_id", [*SET_OFF, *SET_OFF_BELOW, *SET_OFF_ELSEWHERE, *OF_NINJA])
def test_each_id_has_a_row_in_the_docs(check_id: str) -> None:
    assert re.search(rf"^\|.*`{check_id}`.*\|", DOCS.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PREFXES", "PREFIXES"),
        ("key_header", "KEY_HEADER"),
        ("NUMPROXIES", "NUM_PROXIES"),
        ("SCOPE", "SCOPES"),
        ("DEFAULT_LIFETIME", "DEFAULT_KEY_LIFETIME"),
    ],
)
def test_an_unknown_setting_hints_at_the_nearest_one(
    settings: Settings, name: str, meant: str
) -> None:
    settings.PIKKU_AUTH = {name: None}
    (message,) = checks.check_settings()
    assert message.id == "pikku_auth.E002"
    assert repr(name) in message.msg
    assert message.hint == f"Did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["ZZZ", "", 7, None])
def test_a_setting_like_no_other_hints_at_all_there_are(settings: Settings, name: object) -> None:
    settings.PIKKU_AUTH = {name: None}
    (message,) = checks.check_settings()
    assert message.id == "pikku_auth.E002"
    assert all(known in str(message.hint) for known in DEFAULTS)


def test_each_mistake_is_told(settings: Settings) -> None:
    settings.PIKKU_AUTH = {"KEY_PREFX": "abc", "NUM_PROXIES": -1, "KEY_HEADER": ""}
    told = [message.msg for message in checks.check_settings()]
    assert ["KEY_PREFX" in told[0], "NUM_PROXIES" in told[1], "KEY_HEADER" in told[2]] == [True] * 3


NO_LIFETIMES = [90, "90d", timedelta(0), timedelta(days=-1), timedelta(days=36_501)]
NO_PREFIXES = [
    "",
    "p",
    "PKA",
    "1pka",
    "pk_a",
    "pk-a",
    "p" * 17,
    "pk\u00e4",
    "pka\n",
    b"pka",
    None,
    7,
]

BAD_VALUES: dict[str, list[Any]] = {
    "IMPORTED_KEYS": [
        "yes",
        True,
        False,
        [],
        {},
        {"headers": ["x-api-key"]},
        {"until": None},
        {"headers": ["x-api-key"], "until": None, "scopes": []},
        *(
            {"headers": headers, "until": None}
            for headers in (
                [],
                "x-api-key",
                None,
                [None],
                [""],
                ["x api"],
                ["Cookie"],
                ["Authorization"],
                ["Authorization:"],
                ["Authorization: Token x"],
                ["X-Key: Token"],
                ["x-api-key\n"],
            )
        ),
        *(
            {"headers": ["x-api-key"], "until": until}
            for until in ("2027-06-30", 30, timedelta(days=30), datetime(2027, 6, 30))  # noqa: DTZ001
        ),
    ],
    "DEVICE_CODE": [
        None,
        [],
        "10m",
        {"lifetme": timedelta(minutes=1)},
        *({"lifetime": bad} for bad in [*NO_LIFETIMES, None, timedelta(days=2)]),
        *({"interval": bad} for bad in [*NO_LIFETIMES, None, 5, timedelta(milliseconds=5500)]),
        {"interval": timedelta(seconds=61)},
        {"lifetime": timedelta(seconds=5)},
        *(
            {"verification_uri": bad}
            for bad in [
                7,
                "",
                "/device",
                "app.example.com/device",
                "ftp://app.example.com/",
                "javascript:alert(1)",
                "https://",
                "https://[::1/device",
                "https://ada@app.example.com/device",
                "https://app.example.com/device#here",
                "https://app.example.com/a b",
                "https://app.example.com/a\n",
                "https://app.example.com/caf\xe9",
            ]
        ),
    ],
    "ISSUER": [
        7,
        True,
        b"https://app.example.com",
        "",
        "app.example.com",
        "/auth",
        "http://app.example.com",
        "http://localhost:8000",
        "https://",
        "https:///auth",
        "https://:8000",
        "https://app.example.com:0",
        "https://app.example.com:99999",
        "https://[::1/auth",
        "https://ada@app.example.com",
        "https://app.example.com?",
        "https://app.example.com/?a=b",
        "https://app.example.com/#here",
        "https://app.example.com/a b",
        "https://app.example.com/a\n",
        'https://app.example.com/"',
        "https://app.example.com/caf\xe9",
    ],
    "LOGIN_MAX_LIFETIME": NO_LIFETIMES,
    "DEVICE_CLIENT_IDS": [
        ["команда"],
        ["pikku\u200bcli"],
        "pikku-cli",
        "",
        [""],
        [None],
        [b"pikku-cli"],
        {"pikku-cli": True},
        7,
        True,
    ],
    "SERVICE_USER_FACTORY": [
        "no.such.module",
        "pikku_auth.no_such_function",
        "pikku_auth.__version__",
        "create_user",
        "",
        "..relative",
        ".",
        None,
        len,
    ],
    "DEFAULT_KEY_LIFETIME": NO_LIFETIMES,
    "SIGN_IN_MAX_AGE": NO_LIFETIMES,
    "KEY_HEADER": [
        "",
        "x_api_key",
        "x api key",
        "x-api-key:",
        "-x",
        "x-",
        "x--key",
        "x-key\n",
        "x-k\u00e9y",
        "Authorization",
        "cookie",
        b"x-api-key",
        None,
    ],
    "PREFIXES": [
        None,
        "pka",
        {"keys": "pka"},
        *({"key": bad} for bad in [*NO_PREFIXES, "pks"]),
        *({"login": bad} for bad in [*NO_PREFIXES, "pka"]),
    ],
    "LOGIN_LIFETIME": [*NO_LIFETIMES, None],
    "LOGIN_SCOPES": [
        None,
        5,
        "sandbox:read",
        "*",
        "nowhere.at_all",
        "pikku_auth.conf.DEFAULTS",
        ["sandbox"],
        {"sandbox": "read"},
    ],
    "MAP_KEY": ["nowhere.at_all", "pikku_auth.conf.DEFAULTS", 5],
    "MAP_LOGIN": ["nowhere.at_all", "pikku_auth.conf.DEFAULTS", 5],
    "MAY_MANAGE": ["nowhere.at_all", "pikku_auth.conf.DEFAULTS", 5],
    "MAX_KEY_LIFETIME": NO_LIFETIMES,
    "LOGIN_MAIL": [None, 1, "yes"],
    "RATE_LIMIT_HEADERS": [None, 1, "yes"],
    "REQUIRE_HTTPS": [None, 1, "yes"],
    "CACHE": ["nowhere", 1, True, ["default"]],
    "NUM_PROXIES": [-1, 1.0, "1", True, None],
    "SCOPES": [
        {"auth": ["mint"]},
        "sandbox:read",
        ["sandbox"],
        ["sandbox:"],
        {"sandbox": "read"},
        {"sandbox": None},
        {"sand box": ["read"]},
        ["*"],
        {"*": ["*"]},
        {"sandbox": ["read", "*"]},
        7,
        True,
        [None],
    ],
    "UNSCOPED_VIEWS": [None, "", "OPEN", True, []],
}

GOOD_VALUES: dict[str, list[Any]] = {
    "IMPORTED_KEYS": [
        None,
        {"headers": ["x-api-key"], "until": None},
        {"headers": ("Authorization: Token", "authorization:api-key"), "until": date(2027, 6, 30)},
        {"headers": ["X-Old-Key"], "until": datetime(2027, 6, 30, tzinfo=UTC)},
    ],
    "DEVICE_CODE": [
        {},
        {"lifetime": timedelta(minutes=30), "interval": timedelta(seconds=1)},
        {"lifetime": timedelta(days=1), "verification_uri": None},
        {"verification_uri": "https://app.example.com/device?lang=en"},
        {"verification_uri": "http://localhost:3000/device"},
    ],
    "ISSUER": [
        None,
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com:8443/tenants/one",
        "https://[2001:db8::1]/",
    ],
    "DEVICE_CLIENT_IDS": [None, [], ["pikku-cli"], ("a", "b"), {"pikku-cli"}, frozenset({"a"})],
    "SERVICE_USER_FACTORY": [
        DEFAULTS["SERVICE_USER_FACTORY"],
        "django.contrib.auth.get_user_model",
    ],
    "DEFAULT_KEY_LIFETIME": [None, timedelta(seconds=1), timedelta(days=36_500)],
    "SIGN_IN_MAX_AGE": [None, timedelta(minutes=15)],
    "KEY_HEADER": ["X-API-Key", "x-machine-token", "key"],
    "PREFIXES": [{}, {"key": "ab"}, {"login": "acme1"}, {"key": "a" * 16, "login": "b" * 16}],
    "LOGIN_LIFETIME": [timedelta(seconds=1), timedelta(days=36_500)],
    "LOGIN_MAX_LIFETIME": [None, timedelta(seconds=1), timedelta(days=30)],
    "LOGIN_SCOPES": [
        [],
        ["*"],
        ("perm:*", "sandbox:read"),
        {"sandbox": ["*"]},
        "pikku_auth.flows.login_scopes.default_login_scopes",
    ],
    "MAP_KEY": [None, "pikku_auth.conf.normalise"],
    "MAP_LOGIN": [None, "pikku_auth.conf.normalise"],
    "MAY_MANAGE": [None, "pikku_auth.conf.normalise"],
    "MAX_KEY_LIFETIME": [None, timedelta(days=30)],
    "LOGIN_MAIL": [True, False],
    "RATE_LIMIT_HEADERS": [True, False],
    "REQUIRE_HTTPS": [True, False],
    "CACHE": [None],
    "NUM_PROXIES": [0, 1, 7],
    "SCOPES": [None, {}, [], {"sandbox": ["read"]}, ["sandbox:read", "user:read"]],
    "UNSCOPED_VIEWS": ["closed", "open"],
}


def test_each_setting_has_good_and_bad_values_here() -> None:
    assert sorted(BAD_VALUES) == sorted(GOOD_VALUES) == sorted(DEFAULTS)


@pytest.mark.parametrize("name", BAD_VALUES)
def test_an_unsafe_or_impossible_value_is_an_error_that_names_the_default(
    settings: Settings, name: str
) -> None:
    for value in BAD_VALUES[name]:
        settings.PIKKU_AUTH = {name: value}
        told = checks.check_settings()
        assert [message.id for message in told] == ["pikku_auth.E003"], value
        [message] = told
        assert message.msg.startswith(f"PIKKU_AUTH['{name}'] has an unsafe or impossible value: ")
        assert str(message.hint).endswith(f"The default is {DEFAULTS[name]!r}.")


def test_a_bad_vocabulary_hints_at_its_shape(settings: Settings) -> None:
    settings.PIKKU_AUTH = {"SCOPES": ["sandbox"]}
    (message,) = checks.check_settings()
    assert str(message.hint).startswith('Write {"resource": ["action", …], …}')


@pytest.mark.parametrize("grant", [["sandbox:raed"], {"user": ["*"]}])
def test_scopes_of_logins_that_are_not_declared_are_named(settings: Settings, grant: Any) -> None:
    settings.PIKKU_AUTH = {"SCOPES": {"sandbox": ["read"]}, "LOGIN_SCOPES": grant}
    (message,) = checks.check_settings()
    assert re.search(r"(sandbox:raed|user:\*) is not in SCOPES", message.msg)
    settings.PIKKU_AUTH["LOGIN_SCOPES"] = ["sandbox:read", "sandbox:*", "perm:*", "*"]
    assert checks.check_settings() == []


@pytest.mark.parametrize("name", GOOD_VALUES)
def test_a_sound_value_is_taken(settings: Settings, name: str) -> None:
    for value in GOOD_VALUES[name]:
        settings.PIKKU_AUTH = {name: value}
        assert [*checks.check_settings(), *checks.check_host()] == [], value


@pytest.mark.django_db
def test_the_default_of_each_setting_is_taken(settings: Settings) -> None:
    settings.PIKKU_AUTH = dict(DEFAULTS)
    assert own_messages() == []


def test_two_prefixes_may_not_be_the_same(settings: Settings) -> None:
    settings.PIKKU_AUTH = {"PREFIXES": {"key": "acme", "login": "acme"}}
    assert [message.id for message in checks.check_settings()] == ["pikku_auth.E003"]


def test_prefixes_that_trade_places_are_taken(settings: Settings) -> None:
    settings.PIKKU_AUTH = {"PREFIXES": {"key": "pks", "login": "pka"}}
    assert checks.check_settings() == []


@pytest.mark.parametrize(
    "backends",
    [
        [],
        [MODEL_BACKEND],
        [MODEL_BACKEND, BACKEND],
        (MODEL_BACKEND, BACKEND),
    ],
)
def test_our_backend_must_come_first(settings: Settings, backends: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = backends
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.E005"
    assert BACKEND in str(message.hint)


class OwnServiceUserBackend(ServiceUserBackend):
    """A host's subclass."""


@pytest.mark.parametrize(
    "backends",
    [[BACKEND], (BACKEND, MODEL_BACKEND), [f"{__name__}.OwnServiceUserBackend", MODEL_BACKEND]],
)
def test_our_backend_first_is_taken(settings: Settings, backends: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = backends
    assert checks.check_host() == []


@pytest.mark.parametrize(
    "classes",
    [
        [SESSION, OURS],
        [SESSION, OURS_IN_FULL],
        [SESSION, "tests.test_checks.OursWithARealm"],
        (SESSION, "rest_framework.authentication.BasicAuthentication", OURS),
    ],
)
def test_a_class_before_ours_is_named(settings: Settings, classes: Any) -> None:
    settings.REST_FRAMEWORK = {**asking(), "DEFAULT_AUTHENTICATION_CLASSES": classes}
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.E006"
    assert message.msg.startswith("SessionAuthentication comes before")


@pytest.mark.parametrize(
    "rest_framework",
    [
        {},
        {"DEFAULT_AUTHENTICATION_CLASSES": []},
        {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION]},
        {"DEFAULT_AUTHENTICATION_CLASSES": [OURS]},
        {"DEFAULT_AUTHENTICATION_CLASSES": [OURS_IN_FULL, SESSION]},
        {"DEFAULT_AUTHENTICATION_CLASSES": (OURS, SESSION)},
    ],
)
def test_our_class_first_or_not_at_all_is_taken(
    settings: Settings, rest_framework: dict[str, Any]
) -> None:
    settings.REST_FRAMEWORK = {**asking(), **rest_framework}
    assert checks.check_host() == []


@pytest.mark.parametrize("header", ["x-machine", "x-credential", "x-sandbox-id"])
def test_a_header_that_error_reports_would_show_is_a_warning(
    settings: Settings, header: str
) -> None:
    settings.PIKKU_AUTH = {"KEY_HEADER": header}
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.W008"
    assert header in message.msg


@pytest.mark.parametrize("header", ["x-api-key", "x-machine-token", "X-Acme-Key", "x-secret"])
def test_a_header_that_error_reports_hide_is_taken(settings: Settings, header: str) -> None:
    settings.PIKKU_AUTH = {"KEY_HEADER": header}
    assert checks.check_host() == []


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_sqlite_locked_for_each_whole_request_is_a_warning(settings: Settings, mode: str) -> None:
    settings.DATABASES = locked_sqlite(OPTIONS={"transaction_mode": mode})
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.W009"
    assert "'default'" in message.msg


@pytest.mark.parametrize(
    "change",
    [
        {"ATOMIC_REQUESTS": False},
        {"OPTIONS": {"transaction_mode": "DEFERRED"}},
        {"OPTIONS": {"transaction_mode": None}},
        {"OPTIONS": {}},
        {"ENGINE": "django.db.backends.postgresql"},
    ],
)
def test_a_database_that_is_not_locked_so_long_is_taken(
    settings: Settings, change: dict[str, Any]
) -> None:
    settings.DATABASES = locked_sqlite(**change)
    assert checks.check_host() == []


@pytest.mark.parametrize("listed", [[MIDDLEWARE, AUTHENTICATION], [MIDDLEWARE, REMOTE_USER]])
def test_a_middleware_before_the_one_that_it_needs_is_an_error(
    settings: Settings, listed: list[str]
) -> None:
    settings.MIDDLEWARE = listed
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.E010"


@pytest.mark.parametrize(
    "listed", [[], [AUTHENTICATION], [MIDDLEWARE], [AUTHENTICATION, MIDDLEWARE]]
)
def test_a_middleware_after_it_or_none_is_fine(settings: Settings, listed: list[str]) -> None:
    settings.MIDDLEWARE = listed
    assert checks.check_host() == []


@pytest.mark.parametrize(
    ("configured", "routers"),
    [
        (databases(default="Europe/Berlin"), []),
        (databases(tenant="America/New_York"), OURS_IN_TENANTS),
        (databases(tenant="Australia/Lord_Howe", warehouse="Europe/Berlin"), OURS_IN_TENANTS),
    ],
)
def test_database_of_our_tables_that_keeps_summer_time_is_an_error(
    settings: Settings, configured: dict[str, dict[str, Any]], routers: list[str]
) -> None:
    settings.DATABASES, settings.DATABASE_ROUTERS = configured, routers
    (message,) = checks.check_host()
    assert message.id == "pikku_auth.E007"
    assert message.hint == "Remove TIME_ZONE there, and convert the times in that database to UTC."


@pytest.mark.parametrize(
    ("configured", "routers"),
    [
        (databases(default="UTC"), []),
        (databases(default="Asia/Kolkata"), []),
        (databases(warehouse="Europe/Berlin"), []),
        (databases(warehouse="Europe/Berlin"), OURS_IN_TENANTS),
        ({"default": {"ENGINE": POSTGRESQL, "TIME_ZONE": "Europe/Berlin"}}, []),
    ],
    ids=["utc", "fixed offset", "not routed to", "without our tables", "stores time zones"],
)
def test_database_whose_clock_never_changes_an_expiry_is_fine(
    settings: Settings, configured: dict[str, dict[str, Any]], routers: list[str]
) -> None:
    settings.DATABASES, settings.DATABASE_ROUTERS = configured, routers
    assert checks.check_host() == []


class OursFirst(APIView):
    authentication_classes = [PikkuAuthentication, SessionAuthentication]


class WithAnAction(ViewSet):
    authentication_classes = [PikkuAuthentication]

    @action(detail=False, authentication_classes=[SessionAuthentication, OursWithARealm])
    def restart(self, request: Request) -> Response:
        return Response()


@api_view()
@authentication_classes([SessionAuthentication, PikkuAuthentication])
def decorated(request: Request) -> Response:
    return Response()


def of_a_router() -> Any:
    router = SimpleRouter()
    router.register("things", WithAnAction, basename="thing")
    return router.urls


OWN = [SessionAuthentication, PikkuAuthentication]
VIEWS_OF_A_HOST: dict[str, tuple[Any, str]] = {
    "a class": (path("", SessionFirst.as_view()), "SessionFirst"),
    "a function": (path("", decorated), "decorated"),
    "an argument": (path("", OursFirst.as_view(authentication_classes=OWN)), "OursFirst"),
    "an action": (path("", include(of_a_router())), "WithAnAction"),
    "an include": (path("a/", include([re_path("^b/$", SessionFirst.as_view())])), "SessionFirst"),
}


@pytest.mark.parametrize("case", VIEWS_OF_A_HOST)
def test_a_view_that_asks_another_class_first_is_named(settings: Settings, case: str) -> None:
    route, name = VIEWS_OF_A_HOST[case]
    settings.ROOT_URLCONF = (path("ours/", OursFirst.as_view()), route, route)
    (message,) = checks.check_views()
    assert message.id == "pikku_auth.E015"
    assert message.msg.startswith(f"{__name__}.{name} lists SessionAuthentication before")


def test_a_view_with_the_default_list_is_not_named_twice(settings: Settings) -> None:
    settings.REST_FRAMEWORK = asking(SESSION, OURS)
    settings.ROOT_URLCONF = (path("", SessionFirst.as_view()),)
    assert [message.id for message in checks.check_host()] == ["pikku_auth.E006"]
    assert checks.check_views() == []


def test_a_project_without_urls_has_no_views_to_check(settings: Settings) -> None:
    del settings.ROOT_URLCONF
    assert checks.check_views() == []


ALLOW_ANY = "rest_framework.permissions.AllowAny"
AUTHENTICATED = "rest_framework.permissions.IsAuthenticated"
ALLOW_ANY_OR_STAFF = f"{__name__}.AnyOrStaff"
AnyOrStaff = IsAdminUser | AllowAny


@pytest.mark.parametrize(
    ("classes", "ids"),
    [
        (None, ["pikku_auth.W016"]),
        ([], ["pikku_auth.W016"]),
        ([ALLOW_ANY], ["pikku_auth.W016"]),
        ((ALLOW_ANY, ALLOW_ANY), ["pikku_auth.W016"]),
        ([ALLOW_ANY_OR_STAFF], ["pikku_auth.W016"]),
        ([AUTHENTICATED], []),
        ([ALLOW_ANY, AUTHENTICATED], []),
        (["rest_framework.permissions.IsAuthenticatedOrReadOnly"], []),
    ],
)
@pytest.mark.parametrize("ours", [OURS, f"{__name__}.OursWithARealm"])
def test_default_permissions_that_let_anybody_in_are_a_warning(
    settings: Settings, classes: Any, ids: list[str], ours: str
) -> None:
    given = {} if classes is None else {"DEFAULT_PERMISSION_CLASSES": classes}
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [ours], **given}
    assert [message.id for message in checks.check_host()] == ids


def test_default_permissions_without_our_class_are_the_hosts_affair(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION]}
    assert checks.check_host() == []
