"""Checks of the databases that hold our tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info
from django.core.checks import Warning as CheckWarning
from django.db import router
from django.db.utils import load_backend

from pikku_auth.models import APIKey

_DAYS_OF_A_YEAR = 366


def naive_time() -> Iterator[CheckMessage]:
    """An expiry that is stored in local time is an hour wrong twice a year."""
    if not settings.USE_TZ:
        yield _wrong_time("USE_TZ is off: an expiry in local time", "USE_TZ = True")
        return
    for alias in aliases_of_our_tables():
        zone = settings.DATABASES[alias].get("TIME_ZONE")
        if zone and _stores_local_time(alias) and _changes_clocks(ZoneInfo(zone)):
            yield _wrong_time(
                f"DATABASES[{alias!r}] has the TIME_ZONE {zone!r}: an expiry in local time",
                "Remove TIME_ZONE there, and convert the times in that database to UTC.",
            )


def aliases_of_our_tables() -> list[str]:
    """The databases that may hold our tables, as the routers say."""
    if settings.DATABASE_ROUTERS:
        return [a for a in settings.DATABASES if router.allow_migrate_model(a, APIKey)]
    return [router.db_for_write(APIKey)]


def _wrong_time(what: str, hint: str) -> CheckMessage:
    return Error(f"{what} is an hour wrong twice a year.", hint=hint, id="pikku_auth.E007")


def _stores_local_time(alias: str) -> bool:
    """Whether the database can't store a time zone, so that Django converts times to local ones."""
    backend: Any = load_backend(settings.DATABASES[alias]["ENGINE"])
    return not backend.DatabaseWrapper.features_class.supports_timezones


def _changes_clocks(zone: ZoneInfo) -> bool:
    today = datetime.now(UTC)
    days = (today + timedelta(days=day) for day in range(_DAYS_OF_A_YEAR))
    return len({day.astimezone(zone).utcoffset() for day in days}) > 1


def check_prepared(**_kwargs: object) -> list[CheckMessage]:
    """Say where a host could halve what a look-up costs its database. For ``check --deploy``."""
    return [
        Info(
            f"The database {alias!r} plans the look-up of a credential anew for each request.",
            hint='If its connections are kept, set "OPTIONS": {"prepare_threshold": 5} there: our '
            "one statement is prepared then, and no other. Behind PgBouncer that takes version "
            "1.21 or newer, with max_prepared_statements.",
            id="pikku_auth.I023",
        )
        for alias in aliases_of_our_tables()
        if settings.DATABASES[alias]["ENGINE"].endswith(("postgresql", "postgis"))
        and "prepare_threshold" not in settings.DATABASES[alias].get("OPTIONS", {})
    ]


def immediate_sqlite() -> Iterator[CheckMessage]:
    """A key with a limit can't be counted where SQLite is locked for the whole request."""
    for alias, database in settings.DATABASES.items():
        mode = str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper()
        if (
            database.get("ENGINE", "").endswith("sqlite3")
            and database.get("ATOMIC_REQUESTS")
            and mode in {"IMMEDIATE", "EXCLUSIVE"}
        ):
            yield CheckWarning(
                f"The database {alias!r} locks SQLite for each whole request, so the calls of a "
                "key with a limit can't be counted, and are answered with 503.",
                hint="Leave transaction_mode DEFERRED with ATOMIC_REQUESTS, or use PostgreSQL.",
                id="pikku_auth.W009",
            )
