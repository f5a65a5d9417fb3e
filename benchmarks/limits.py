"""What a rate limit and a quota add, and whether counting holds anybody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any
from unittest import mock

from django.db import connection, connections, transaction

from benchmarks.harness import (
    ROUNDS,
    TIMING_COLUMNS,
    p10,
    print_setting,
    print_table,
    throwaway_database,
    timed,
)
from pikku_auth.core.limits import parse_rate
from pikku_auth.exceptions import InvalidKey
from pikku_auth.flows import IssuedKey, create_service_user, mint_key, revoke_key
from pikku_auth.flows.keys.verify import verify_digest
from pikku_auth.models import APIKey, ServiceUser

UNLIMITED = "no limits"
PLENTY = 2_000_000_000
LIMITS: dict[str, dict[str, Any]] = {
    UNLIMITED: {},
    "a rate": {"rate": parse_rate(f"{PLENTY}/h")},
    "a quota": {"quota": PLENTY},
    "both": {"rate": parse_rate(f"{PLENTY}/h"), "quota": PLENTY},
}

THREADS = 8
VIEW_SECONDS = 0.05
REVOCATIONS = max(1, ROUNDS // 3)

Call = Callable[[], object]


def main() -> None:
    """Measure, and print a table for each way to reach the database."""
    with throwaway_database():
        print_setting()
        owner = create_service_user("machine")
        keys = {name: mint_key(owner, **limits) for name, limits in LIMITS.items()}
        print_prices("autocommit", {name: verification(key) for name, key in keys.items()})
        inside = {name: in_transaction(verification(key)) for name, key in keys.items()}
        for title, options in ways_to_connect().items():
            with connected(**options):
                (thread,) = in_threads(1, partial(print_prices, title, inside))
                thread.join()
        if connection.features.has_select_for_update:
            print_contention(owner)


def verification(issued: IssuedKey) -> Call:
    digest = issued.secret.digest
    return lambda: verify_digest(digest)


def in_transaction(call: Call) -> Call:
    """``call`` as ``ATOMIC_REQUESTS`` would run it."""

    def atomically() -> None:
        with transaction.atomic():
            call()

    return atomically


def ways_to_connect() -> dict[str, dict[str, Any]]:
    """What a host may have set, by what it does to the second connection."""
    ways: dict[str, dict[str, Any]] = {
        "in a transaction, CONN_MAX_AGE=0": {"CONN_MAX_AGE": 0},
        "in a transaction, CONN_MAX_AGE=None": {"CONN_MAX_AGE": None},
    }
    if connection.vendor == "postgresql" and find_spec("psycopg_pool"):
        ways["in a transaction, psycopg pool"] = {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": True}}
    return ways


@contextmanager
def connected(**options: Any) -> Iterator[None]:
    """Let the threads started inside connect by other settings."""
    connection.close()
    with mock.patch.dict(connection.settings_dict, options):
        yield
        if "OPTIONS" in options:
            pooled: Any = connection
            pooled.close_pool()


def in_threads(number: int, call: Call) -> list[threading.Thread]:
    """Start ``call`` in threads that have connections of their own, and close them."""

    def work() -> None:
        call()
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def print_prices(title: str, cases: dict[str, Call]) -> None:
    timings = timed(cases)
    cpu, wall = (p10(getattr(timings[UNLIMITED], kind)) for kind in ("cpu", "wall"))
    print_table(
        title,
        [*TIMING_COLUMNS, "adds CPU", "adds wall"],
        [
            [
                name,
                *timing.columns(),
                f"{p10(timing.cpu) - cpu:+,.0f}",
                f"{p10(timing.wall) - wall:+,.0f}",
            ]
            for name, timing in timings.items()
        ],
    )


def print_contention(owner: ServiceUser) -> None:
    """One hot key, and a revoke in the middle of it."""
    counting_inside = mock.patch(
        "pikku_auth.flows.keys.verify.outside_transaction", return_value=nullcontext()
    )
    cases: list[tuple[str, int | None, AbstractContextManager[Any]]] = [
        ("no limits", None, nullcontext()),
        ("a quota, counted on the second connection", PLENTY, nullcontext()),
        ("a quota, if the view's transaction counted it", PLENTY, counting_inside),
    ]
    rows = []
    for title, quota, patch in cases:
        with patch:
            seen = [one_revocation(mint_key(owner, quota=quota)) for _ in range(REVOCATIONS)]
        rates, waits = zip(*seen, strict=True)
        waits_ms = [wait * 1e3 for wait in waits]
        rows.append(
            [title, f"{median(rates):.0f}", f"{median(waits_ms):.0f}", f"{max(waits_ms):.0f}"]
        )
    heads = ["requests/s", "revoking ms: median", "worst"]
    print_table(f"{THREADS} threads, a view of {VIEW_SECONDS * 1e3:.0f} ms", heads, rows)


def one_revocation(issued: IssuedKey) -> tuple[float, float]:
    """Requests a second until the key is revoked, and the seconds that revoking took."""
    served: list[int] = []
    digest, key = issued.secret.digest, APIKey.objects.get(pk=issued.key.pk)

    def serve_until_refused() -> None:
        while True:
            with transaction.atomic():
                try:
                    verify_digest(digest)
                except InvalidKey:
                    return
                time.sleep(VIEW_SECONDS)
            served.append(1)

    began = time.perf_counter()
    threads = in_threads(THREADS, serve_until_refused)
    time.sleep(1)
    revoking, so_far = time.perf_counter(), len(served)
    revoke_key(key)
    revoked = time.perf_counter()
    for thread in threads:
        thread.join()
    return so_far / (revoking - began), revoked - revoking


if __name__ == "__main__":
    main()
