"""Checks of what ``PIKKU_AUTH["CACHE"]`` needs."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from pikku_auth.checks.databases import aliases_of_our_tables
from pikku_auth.conf import conf
from pikku_auth.flows.cache import stamps
from pikku_auth.middleware import PikkuAuthMiddleware


def cache_without_stamps() -> Iterator[CheckMessage]:
    """A cache of one process can't tell the others that a key is revoked."""
    if conf.cache is None or conf.cache not in settings.CACHES:
        return
    try:
        stamps.client(conf.cache)
    except (ImproperlyConfigured, ImportError) as error:
        yield Error(
            f"PIKKU_AUTH['CACHE'] is {conf.cache!r}, which can't keep stamps: {error}",
            hint="Name a cache whose BACKEND is django.core.cache.backends.redis.RedisCache or "
            "django_redis.cache.RedisCache, or leave CACHE out. Others unpickle what they read, or "
            "are not shared by all processes.",
            id="pikku_auth.E024",
        )


def nothing_is_cached() -> Iterator[CheckMessage]:
    """What a transaction reads is not kept, and with ``ATOMIC_REQUESTS`` each view has one."""
    if conf.cache is None or any(map(_is_ours, settings.MIDDLEWARE)):
        return
    for alias in aliases_of_our_tables():
        database = settings.DATABASES[alias]
        # SQLite locks its whole file, so that there we read outside of the view's transaction.
        if database.get("ATOMIC_REQUESTS") and not database["ENGINE"].endswith("sqlite3"):
            yield CheckWarning(
                f"PIKKU_AUTH['CACHE'] does nothing: DATABASES[{alias!r}] has ATOMIC_REQUESTS, and "
                "what is read in a transaction is not kept.",
                hint="Add pikku_auth.middleware.PikkuAuthMiddleware to MIDDLEWARE: it reads before "
                "the transaction begins.",
                id="pikku_auth.W025",
            )


def _is_ours(path: str) -> bool:
    middleware = import_string(path)
    return isinstance(middleware, type) and issubclass(middleware, PikkuAuthMiddleware)
