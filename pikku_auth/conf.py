"""``settings.PIKKU_AUTH`` as typed properties, each read once and again when a test changes it.

Hooks are imported anew at each use, so that a test may replace one in its module. The checks in
:mod:`pikku_auth.checks` judge the values; here they are trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from pikku_auth.core.permissions import Grant, normalise

DEFAULTS: dict[str, Any] = {
    "CACHE": None,
    "DEFAULT_KEY_LIFETIME": timedelta(days=90),
    "DEVICE_CLIENT_IDS": None,
    "DEVICE_CODE": {
        "lifetime": timedelta(minutes=10),
        "interval": timedelta(seconds=5),
        "verification_uri": None,
    },
    "IMPORTED_KEYS": None,
    "ISSUER": None,
    "KEY_HEADER": "x-api-key",
    "LOGIN_LIFETIME": timedelta(days=7),
    "LOGIN_MAIL": False,
    "LOGIN_MAX_LIFETIME": timedelta(days=90),
    "LOGIN_SCOPES": "pikku_auth.flows.login_scopes.default_login_scopes",
    "MAP_KEY": None,
    "MAP_LOGIN": None,
    "MAX_KEY_LIFETIME": None,
    "MAY_MANAGE": None,
    "NUM_PROXIES": 0,
    "PREFIXES": {"key": "pka", "login": "pks"},
    "RATE_LIMIT_HEADERS": False,
    "REQUIRE_HTTPS": False,
    "SCOPES": None,
    "SERVICE_USER_FACTORY": "pikku_auth.flows.accounts.create_user",
    "SIGN_IN_MAX_AGE": None,
    "UNSCOPED_VIEWS": "closed",
}


class DeviceCodeSettings(NamedTuple):
    """What a device is told with its codes; ``verification_uri`` is ``None`` for our own page."""

    lifetime: timedelta
    interval: timedelta
    verification_uri: str | None


class ImportedKeySettings(NamedTuple):
    """Where imported credentials are looked for.

    ``schemes`` are those of ``Authorization``, in lower case; ``headers`` are names in
    ``request.META``, without the key header's. From ``until`` on nothing is looked for.
    """

    in_key_header: bool
    schemes: frozenset[str]
    headers: tuple[str, ...]
    until: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether they are looked for at ``now``."""
        return self.until is None or now < self.until


class Prefixes(NamedTuple):
    """What keys and login tokens begin with."""

    key: str
    login: str


class Settings:
    """One property a setting; ``docs/settings.md`` says what each means."""

    def _get(self, name: str) -> Any:
        return getattr(settings, "PIKKU_AUTH", {}).get(name, DEFAULTS[name])

    def _get_at_start(self, name: str) -> Any:
        """For what is read before E001 could be told: a default where nothing can be read."""
        is_readable = isinstance(getattr(settings, "PIKKU_AUTH", {}), dict)
        return self._get(name) if is_readable else DEFAULTS[name]

    def _hook(self, name: str) -> Callable[..., Any] | None:
        path = self._get(name)
        hook: Callable[..., Any] | None = import_string(path) if path else None
        return hook

    @cached_property
    def cache(self) -> str | None:
        """The alias of the cache that says when a row has changed; ``None``: ask the database."""
        alias: str | None = self._get_at_start("CACHE")
        return alias

    @cached_property
    def default_key_lifetime(self) -> timedelta | None:
        lifetime: timedelta | None = self._get("DEFAULT_KEY_LIFETIME")
        return lifetime

    @cached_property
    def device_client_ids(self) -> list[str] | None:
        """The client ids that may log in, or ``None`` for any."""
        clients: list[str] | None = self._get("DEVICE_CLIENT_IDS")
        return clients

    @cached_property
    def device_code(self) -> DeviceCodeSettings:
        """Each key that is not given has its default."""
        return DeviceCodeSettings(**{**DEFAULTS["DEVICE_CODE"], **self._get("DEVICE_CODE")})

    @cached_property
    def imported_keys(self) -> ImportedKeySettings | None:
        """In which headers imported credentials are looked for; ``None``: in none."""
        value: dict[str, Any] | None = self._get("IMPORTED_KEYS")
        if value is None:
            return None
        words = [header.lower().partition(":") for header in value["headers"]]
        names = {name for name, colon, _ in words if not colon}
        schemes = frozenset(scheme.strip() for _, colon, scheme in words if colon)
        own = self.key_header.lower()
        headers = tuple(sorted(_meta_name(name) for name in names - {own}))
        return ImportedKeySettings(own in names, schemes, headers, _end_of(value["until"]))

    @cached_property
    def issuer(self) -> str | None:
        """The address by which clients know this site (RFC 8414, 2); ``None``: nothing is told."""
        issuer: str | None = self._get_at_start("ISSUER")
        return issuer

    @cached_property
    def key_header(self) -> str:
        return str(self._get_at_start("KEY_HEADER"))

    @cached_property
    def credential_headers(self) -> list[str]:
        """The headers that say who calls, by which an answer varies."""
        imported = self.imported_keys
        names = () if imported is None else imported.headers
        others = [name.removeprefix("HTTP_").replace("_", "-").title() for name in names]
        return [self.key_header, "Authorization", *others]

    @cached_property
    def key_header_meta(self) -> str:
        """The header's name in ``request.META``."""
        return _meta_name(self.key_header)

    @cached_property
    def login_lifetime(self) -> timedelta:
        lifetime: timedelta = self._get("LOGIN_LIFETIME")
        return lifetime

    @cached_property
    def login_mail(self) -> bool:
        """Whether a human is mailed when a terminal has logged in as them."""
        return bool(self._get("LOGIN_MAIL"))

    @cached_property
    def login_max_lifetime(self) -> timedelta | None:
        """How long a login lives at most, however often it is used; ``None`` for ever."""
        lifetime: timedelta | None = self._get("LOGIN_MAX_LIFETIME")
        return lifetime

    @cached_property
    def login_renewal(self) -> timedelta:
        """How often the end of a login that is in use moves on: a seventh of its lifetime.

        Each time is a write, so not more often than once a minute, as ``last_used_at``; but at
        the latest half way, or a short login would end while it is in use.
        """
        lifetime = self.login_lifetime
        return max(lifetime / 7, min(lifetime / 2, timedelta(minutes=1)))

    @property
    def login_scopes(self) -> Callable[[Any], Any] | Grant:
        """A function ``(user) -> grant``, sync or async, or one grant for every human."""
        value: Any = self._get("LOGIN_SCOPES")
        return import_string(value) if isinstance(value, str) else value  # type: ignore[no-any-return]

    @property
    def map_key(self) -> Callable[..., Any] | None:
        """``(key, request) -> Mapped | None``, sync or async; ``None`` for no mapping."""
        return self._hook("MAP_KEY")

    @property
    def map_login(self) -> Callable[..., Any] | None:
        """``(login, request) -> Mapped | None``, sync or async; ``None`` for no mapping."""
        return self._hook("MAP_LOGIN")

    @cached_property
    def max_key_lifetime(self) -> timedelta | None:
        lifetime: timedelta | None = self._get("MAX_KEY_LIFETIME")
        return lifetime

    @property
    def may_manage(self) -> Callable[..., Any] | None:
        """``(user, service_user) -> bool``; ``None``: Django's permissions decide alone."""
        return self._hook("MAY_MANAGE")

    @cached_property
    def num_proxies(self) -> int:
        return int(self._get("NUM_PROXIES"))

    @cached_property
    def prefixes(self) -> Prefixes:
        """Each that is not given has its default."""
        return Prefixes(**{**DEFAULTS["PREFIXES"], **self._get("PREFIXES")})

    @cached_property
    def rate_limit_headers(self) -> bool:
        """Whether answers say what is left of a key's limits."""
        return bool(self._get("RATE_LIMIT_HEADERS"))

    @cached_property
    def require_https(self) -> bool:
        """Whether a credential that came over plain HTTP is refused."""
        return bool(self._get("REQUIRE_HTTPS"))

    @cached_property
    def scopes(self) -> dict[str, list[str]] | None:
        """The host's vocabulary, or ``None`` when any well-formed scope may be granted."""
        vocabulary = self._get("SCOPES")
        return None if vocabulary is None else normalise(vocabulary, most=None)

    @property
    def service_user_factory(self) -> Callable[[str], Any]:
        hook: Callable[[str], Any] = import_string(self._get("SERVICE_USER_FACTORY"))
        return hook

    @cached_property
    def sign_in_max_age(self) -> timedelta | None:
        """How long ago a human may have signed in to approve a login; ``None`` for ever."""
        age: timedelta | None = self._get("SIGN_IN_MAX_AGE")
        return age

    @cached_property
    def unscoped_views(self) -> str:
        """``"closed"`` or ``"open"``: whether views that demand no scope let keys in."""
        return str(self._get("UNSCOPED_VIEWS"))


def _meta_name(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _end_of(until: date | None) -> datetime | None:
    """The moment itself, or the end of a day in UTC."""
    if until is None or isinstance(until, datetime):
        return until
    return datetime.combine(until + timedelta(days=1), time.min, UTC)


conf = Settings()


def _forget(*, setting: str, **_kwargs: object) -> None:
    """Receives ``setting_changed``, which Django's ``override_settings`` sends."""
    if setting == "PIKKU_AUTH":
        vars(conf).clear()


setting_changed.connect(_forget)
