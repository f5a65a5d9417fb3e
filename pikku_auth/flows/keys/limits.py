"""Spending a call: the rate limit and the quota of a key, both in one guarded UPDATE.

One statement, because two stores can't be charged together: a call that one of them
refused would have burnt something in the other. It is written by hand, because the ORM would
compile it anew for each call, which takes longer than the database needs for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pikku_auth.core.limits import Standing, last_refill, seconds_until, window_start
from pikku_auth.exceptions import LimitExceeded
from pikku_auth.models import APIKey

COUNTERS = ["window_started_at", "window_calls", "remaining", "refilled_at"]


class _Guard(NamedTuple):
    """What a column must still be for the UPDATE to hold."""

    name: str
    operator: Literal["=", "<", ">"]
    value: Any


class _Change(NamedTuple):
    """What a column becomes: ``value``, or with an operator itself plus or minus that."""

    name: str
    value: Any
    operator: Literal["", "+", "-"] = ""


_Step = tuple[list[_Guard], list[_Change]]


def spend_call(key: APIKey, now: datetime, using: str) -> bool:
    """Count one call. ``False`` if the row has changed under us: read it again.

    The UPDATE holds only while the counters, and the key's being live, are what the
    decision was made from, so that of many at once never one too many gets through.

    :raises LimitExceeded: when a limit is used up. Nothing is counted then.
    """
    rate_guards, rate_changes = _rate_step(key, now)
    quota_guards, quota_changes = _quota_step(key, now)
    alive = [
        _Guard("id", "=", key.pk),
        _Guard("revoked_at", "=", None),
        _Guard("enabled", "=", True),
        _Guard("is_suspended", "=", False),
    ]
    connection = connections[using]
    changes = [*rate_changes, *quota_changes]
    sql, params = _update(changes, [*alive, *rate_guards, *quota_guards], connection)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        is_counted = bool(cursor.rowcount == 1)
    if is_counted:
        _note(changes, key)
    return is_counted


def standings(key: APIKey, now: datetime) -> list[Standing]:
    """What is left of the limits of ``key`` at ``now``, by its row. Others may use it meanwhile."""
    return [*_standing_of_rate(key, now), *_standing_of_quota(key, now)]


def _standing_of_rate(key: APIKey, now: datetime) -> Iterator[Standing]:
    rate = key.rate
    if rate is None:
        return
    start, calls = window_start(now, rate.period), 0
    if key.window_started_at is not None and key.window_started_at >= start:
        start, calls = key.window_started_at, key.window_calls
    yield Standing.of("rate", rate, rate.count - calls, start + rate.period, now)


def _standing_of_quota(key: APIKey, now: datetime) -> Iterator[Standing]:
    if key.remaining is None:
        return
    refill, since = key.refill, key.refilled_at or key.created_at
    if refill is None:
        yield Standing("quota", key.remaining)
        return
    due = last_refill(now, since, refill.period)
    left = refill.count if due > since else key.remaining
    yield Standing.of("quota", refill, left, max(due, since) + refill.period, now)


def _note(changes: list[_Change], key: APIKey) -> None:
    """Have the object say what the row does now."""
    for name, value, operator in changes:
        signed = -value if operator == "-" else value
        setattr(key, name, getattr(key, name) + signed if operator else value)


def check_call(key: APIKey, now: datetime) -> None:
    """Insist that a call would get through at ``now``. Nothing is counted.

    :raises LimitExceeded: when a limit is used up.
    """
    _rate_step(key, now)
    _quota_step(key, now)


def _rate_step(key: APIKey, now: datetime) -> _Step:
    rate = key.rate
    if rate is None:
        return [], []
    start, opened = window_start(now, rate.period), key.window_started_at
    same_window = _Guard("window_started_at", "=", opened)
    if opened is None or opened < start:
        return [same_window], [_Change("window_started_at", start), _Change("window_calls", 1)]
    if key.window_calls >= rate.count:
        wait = seconds_until(opened + rate.period, now)
        raise LimitExceeded("rate_limited", wait, standings(key, now))
    has_room = _Guard("window_calls", "<", rate.count)
    return [same_window, has_room], [_Change("window_calls", 1, "+")]


def _quota_step(key: APIKey, now: datetime) -> _Step:
    if key.remaining is None:
        return [], []
    refill, since = key.refill, key.refilled_at or key.created_at
    same_refill = _Guard("refilled_at", "=", key.refilled_at)
    if refill is not None:
        due = last_refill(now, since, refill.period)
        if due > since:
            left = refill.count - 1
            return [same_refill], [_Change("refilled_at", due), _Change("remaining", left)]
    if key.remaining == 0:
        wait = seconds_until(since + refill.period, now) if refill else None
        raise LimitExceeded("quota_exhausted", wait, standings(key, now))
    has_some = _Guard("remaining", ">", 0)
    return [same_refill, has_some], [_Change("remaining", 1, "-")]


def _update(
    changes: list[_Change], guards: list[_Guard], connection: BaseDatabaseWrapper
) -> tuple[str, list[Any]]:
    """The statement and its parameters."""
    quoted, fields, params = connection.ops.quote_name, APIKey._meta.get_field, list[Any]()

    def compared(name: str, operator: str, value: Any) -> str:
        field: Any = fields(name)
        column = quoted(field.column)
        if value is None:
            return f"{column} IS NULL"
        params.append(field.get_db_prep_value(value, connection))
        return f"{column} {operator} %s"

    def assigned(name: str, value: Any, operator: str) -> str:
        own = f"{quoted(name)} {operator} " if operator else ""
        return compared(name, f"= {own}", value)

    settings = ", ".join(assigned(*change) for change in changes)
    conditions = " AND ".join(compared(*guard) for guard in guards)
    table = quoted(APIKey._meta.db_table)
    # Of names and operators that are written above; every value is a parameter.
    return f"UPDATE {table} SET {settings} WHERE {conditions}", params  # noqa: S608
