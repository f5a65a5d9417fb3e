"""System checks. ``docs/checks.md`` has a row for each id; ids are never reused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string
from django.views.debug import SafeExceptionReporterFilter
from rest_framework.settings import api_settings

from pikku_auth.backends import ServiceUserBackend
from pikku_auth.checks.cache import cache_without_stamps, nothing_is_cached
from pikku_auth.checks.databases import immediate_sqlite, naive_time
from pikku_auth.checks.device_code import is_device_code
from pikku_auth.checks.imported import imported_keys_over, is_imported_keys
from pikku_auth.checks.issuer import (
    is_issuer,
    issuer_that_nobody_finds,
    well_known_without_issuer,
)
from pikku_auth.checks.middleware import order_of_middleware
from pikku_auth.checks.mounting import nothing_asks_for_credentials, nowhere_to_sign_in
from pikku_auth.checks.proxies import uncounted_proxies
from pikku_auth.checks.versions import check_versions
from pikku_auth.checks.views import anybody_comes_in, class_of_view_not_first
from pikku_auth.conf import DEFAULTS, conf
from pikku_auth.core.durations import require_positive
from pikku_auth.core.permissions import AUTH, normalise, unknown
from pikku_auth.core.secrets import PREFIX
from pikku_auth.core.text import is_client_id
from pikku_auth.rest_framework import PikkuAuthentication

__all__ = ["check_host", "check_ninja", "check_settings", "check_versions", "check_views"]

_BACKEND = "pikku_auth.backends.ServiceUserBackend"
_HEADER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


def check_settings(**_kwargs: object) -> list[CheckMessage]:
    """Check the names and values of ``settings.PIKKU_AUTH``."""
    given = _given()
    if not isinstance(given, dict):
        return [Error("PIKKU_AUTH must be a dict.", hint="PIKKU_AUTH = {…}", id="pikku_auth.E001")]
    return [
        *(_unknown_setting(name) for name in given if name not in DEFAULTS),
        *(
            message
            for name, value in given.items()
            if name in DEFAULTS
            for message in _bad_value(name, value)
        ),
    ]


def check_host(**_kwargs: object) -> list[CheckMessage]:
    """Check the host's settings for what could mask or weaken this app."""
    return [
        *_missing_apps(),
        *_backend_not_first(),
        *_class_not_first(),
        *anybody_comes_in(),
        *naive_time(),
        *_header_shown_in_debug(),
        *immediate_sqlite(),
        *cache_without_stamps(),
        *nothing_is_cached(),
        *uncounted_proxies(),
        *order_of_middleware(),
        *imported_keys_over(),
    ]


def check_views(**_kwargs: object) -> list[CheckMessage]:
    """Check the URLconf: which views are open, and what is missing."""
    return [
        *class_of_view_not_first(),
        *nothing_asks_for_credentials(),
        *nowhere_to_sign_in(),
        *well_known_without_issuer(),
        *issuer_that_nobody_finds(),
    ]


def check_ninja(**_kwargs: object) -> list[CheckMessage]:
    """Check the APIs of django-ninja in the URLconf."""
    # Here, because it is optional, and not every command has a use for it.
    from pikku_auth.contrib.ninja.checks import check_apis

    return check_apis()


def _given() -> Any:
    return getattr(settings, "PIKKU_AUTH", {})


def _unknown_setting(name: str) -> CheckMessage:
    nearest = get_close_matches(str(name).upper(), DEFAULTS, n=1)
    return Error(
        f"PIKKU_AUTH has no setting {name!r}.",
        hint=f"Did you mean {nearest[0]!r}?"
        if nearest
        else f"The settings are {', '.join(DEFAULTS)}.",
        id="pikku_auth.E002",
    )


def _bad_value(name: str, value: object) -> Iterator[CheckMessage]:
    try:
        _VALUE_RULES[name](value)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        yield Error(
            f"PIKKU_AUTH[{name!r}] has an unsafe or impossible value: {error}",
            hint=f"{_HINTS.get(name, '')}The default is {DEFAULTS[name]!r}.",
            id="pikku_auth.E003",
        )


def _missing_apps() -> Iterator[CheckMessage]:
    for app in ("django.contrib.auth", "django.contrib.contenttypes"):
        if not apps.is_installed(app):
            yield Error(
                f"pikku_auth needs {app}: a service user is a user with permissions.",
                hint=f"Add {app!r} to INSTALLED_APPS.",
                id="pikku_auth.E004",
            )


def _backend_not_first() -> Iterator[CheckMessage]:
    backends = list(settings.AUTHENTICATION_BACKENDS)
    if not (backends and issubclass(import_string(backends[0]), ServiceUserBackend)):
        yield Error(
            "ServiceUserBackend is not the first of AUTHENTICATION_BACKENDS: a backend before "
            "it could log a service user in, and grant a key's caller more than its key.",
            hint=f"AUTHENTICATION_BACKENDS = [{_BACKEND!r}, …]",
            id="pikku_auth.E005",
        )


def _class_not_first() -> Iterator[CheckMessage]:
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    if any(issubclass(class_, PikkuAuthentication) for class_ in classes[1:]):
        yield Error(
            f"{classes[0].__name__} comes before PikkuAuthentication in "
            "DEFAULT_AUTHENTICATION_CLASSES: it "
            "would answer for a request whose API key is bad, and turn 401 into 403.",
            hint="List pikku_auth.rest_framework.PikkuAuthentication first.",
            id="pikku_auth.E006",
        )


def _header_shown_in_debug() -> Iterator[CheckMessage]:
    if not SafeExceptionReporterFilter.hidden_settings.search(conf.key_header_meta):
        yield CheckWarning(
            f"Django's error reports would show the value of {conf.key_header!r}: they hide only "
            "headers whose names look secret.",
            hint="Choose a KEY_HEADER with 'key' or 'token' in its name, such as x-api-key.",
            id="pikku_auth.W008",
        )


def _is_bool(value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not True or False.")


def _are_prefixes(value: object) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not a dict of prefixes.")
    if strange := value.keys() - {"key", "login"}:
        raise ValueError(f"{', '.join(map(repr, strange))} is no kind of secret.")
    for prefix in value.values():
        if not (isinstance(prefix, str) and PREFIX.fullmatch(prefix)):
            raise ValueError(f"{prefix!r} is not 2 to 16 lower-case letters and digits.")
    if conf.prefixes.key == conf.prefixes.login:
        raise ValueError("keys and logins would begin alike.")


def _is_cache(value: object) -> None:
    if value is not None and value not in settings.CACHES:
        raise ValueError(f"{value!r} is none of CACHES: {', '.join(settings.CACHES)}.")


def _is_header(value: object) -> None:
    if not (isinstance(value, str) and _HEADER.fullmatch(value)):
        raise ValueError(f"{value!r} is not a header name of letters, digits and hyphens.")
    if value.lower() in {"authorization", "content-length", "content-type", "cookie", "host"}:
        raise ValueError(f"{value!r} has another meaning.")


def _is_lifetime(value: object) -> None:
    if value is not None:
        _is_positive(value)


def _is_positive(value: object) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{value!r} is not a timedelta.")
    require_positive(value)


def _is_number_of_proxies(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a number of proxies.")


def _is_callable(value: object) -> None:
    if not isinstance(value, str) or not callable(import_string(value)):
        raise TypeError(f"{value!r} is not the dotted path of a function.")


def _is_hook(value: object) -> None:
    if value is not None:
        _is_callable(value)


def _is_list_of_clients(value: object) -> None:
    if value is not None and not (
        isinstance(value, list | tuple | set | frozenset)
        and all(isinstance(client, str) and is_client_id(client) for client in value)
    ):
        raise TypeError(f"{value!r} is not a list of client ids, of visible ASCII.")


def _is_login_grant(value: Any) -> None:
    if isinstance(value, str):
        _is_callable(value)
        return
    if strange := unknown(normalise(value, most=None), conf.scopes):
        raise ValueError(f"{', '.join(strange)} is not in SCOPES.")


def _is_closed_or_open(value: object) -> None:
    if value not in ("closed", "open"):
        raise ValueError(f'{value!r} is neither "closed" nor "open".')


def _is_vocabulary(value: Any) -> None:
    vocabulary = {} if value is None else normalise(value, most=None)
    if "*" in vocabulary or any("*" in actions for actions in vocabulary.values()):
        raise ValueError("a wildcard can't be declared: name each action.")
    if AUTH in vocabulary:
        raise ValueError(f"{AUTH!r} is reserved for managing credentials: choose another word.")


_HINTS = {
    "IMPORTED_KEYS": 'Write {"headers": ["Authorization: Token"], "until": date(2027, 6, 30)}. ',
    "LOGIN_SCOPES": "Write a list of scopes, or the dotted path of a function of a user. ",
    "PREFIXES": 'Write {"key": "pka", "login": "pks"}, with prefixes of your own. ',
    "SCOPES": 'Write {"resource": ["action", …], …}, without wildcards. ',
}

_VALUE_RULES: dict[str, Callable[[Any], None]] = {
    "CACHE": _is_cache,
    "DEVICE_CLIENT_IDS": _is_list_of_clients,
    "DEVICE_CODE": is_device_code,
    "SERVICE_USER_FACTORY": _is_callable,
    "DEFAULT_KEY_LIFETIME": _is_lifetime,
    "SIGN_IN_MAX_AGE": _is_lifetime,
    "IMPORTED_KEYS": is_imported_keys,
    "ISSUER": is_issuer,
    "KEY_HEADER": _is_header,
    "LOGIN_LIFETIME": _is_positive,
    "LOGIN_MAIL": _is_bool,
    "LOGIN_MAX_LIFETIME": _is_lifetime,
    "LOGIN_SCOPES": _is_login_grant,
    "MAP_KEY": _is_hook,
    "MAP_LOGIN": _is_hook,
    "MAX_KEY_LIFETIME": _is_lifetime,
    "MAY_MANAGE": _is_hook,
    "NUM_PROXIES": _is_number_of_proxies,
    "PREFIXES": _are_prefixes,
    "RATE_LIMIT_HEADERS": _is_bool,
    "REQUIRE_HTTPS": _is_bool,
    "SCOPES": _is_vocabulary,
    "UNSCOPED_VIEWS": _is_closed_or_open,
}
