"""``python -m benchmarks.peers``: the same view behind each package, in one process.

``KEYS`` is the number of credentials and owners of each. Rounds are interleaved, in a random
order, so that a noisy moment hits all alike. ``--markdown FILE`` and ``--plot FILE`` write what
is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from django.db import connection
from django.test import RequestFactory

from benchmarks.candidates import BASELINE, OPEN, Candidate, candidates
from benchmarks.harness import (
    CALLS,
    ROUNDS,
    markdown_table,
    print_table,
    queries_of,
    setting,
    throwaway_database,
    tidy,
)
from benchmarks.plot import bars

KEYS = int(os.environ.get("KEYS", "100000"))

HEADS = ["SQL", "added µs", "x authtoken", "quartiles", "CPU x", "client µs", "server µs"]


@dataclass
class Measured:
    """Microseconds a request, one figure a round."""

    wall: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> list[float]:
        return [sum(pair) for pair in zip(self.client, self.server, strict=True)]


def main() -> None:
    """Measure, print and write."""
    options = _options()
    with throwaway_database():
        everyone = candidates(KEYS)
        tidy()
        requests = {one.name: _request_of(one) for one in everyone}
        sql = {one.name: _queries_of(one, requests[one.name]) for one in everyone}
        began = os.getloadavg()[0]
        measured = _measured(everyone, requests)
        ended = os.getloadavg()[0]
    said = (
        f"{setting()}\n{KEYS:,} credentials and owners of each; "
        f"load average {began:.1f} before and {ended:.1f} after"
    )
    print(said)
    rows = [[one.name, *_row(one.name, sql[one.name], measured)] for one in everyone]
    print_table("a request with", HEADS, rows)
    if options.markdown:
        options.markdown.write_text(f"{markdown_table(['', *HEADS], rows)}\n{said}\n")
    if options.plot:
        ratios = {name: median(_ratios(name, measured)) for name in measured if name != OPEN}
        options.plot.write_text(bars(f"x {BASELINE}, {connection.display_name}", ratios))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


def _request_of(candidate: Candidate) -> Callable[[], None]:
    """One request, of another caller each time, from its making to its rendered response."""
    view, factory, callers = candidate.view(), RequestFactory(), cycle(candidate.callers)

    def call() -> None:
        response: Any = view(factory.get("/", headers=next(callers)))
        if response.render().status_code != 200:
            raise RuntimeError(f"{candidate.name} refused: {response.data}")

    return call


def _queries_of(candidate: Candidate, call: Callable[[], None]) -> str:
    with candidate.setting():
        for _ in range(4 * len(candidate.callers)):  # until what can be kept is kept
            call()
        return queries_of(call)


def _measured(
    everyone: list[Candidate], requests: dict[str, Callable[[], None]]
) -> dict[str, Measured]:
    measured = {one.name: Measured() for one in everyone}
    server = _server_cpu()
    for _ in range(ROUNDS):
        for one in random.sample(everyone, len(everyone)):
            call, result = requests[one.name], measured[one.name]
            with one.setting():
                call()
                began = server(), time.process_time(), time.perf_counter()
                for _ in range(CALLS):
                    call()
                ended = server(), time.process_time(), time.perf_counter()
            spent = [(b - a) / CALLS * 1e6 for a, b in zip(began, ended, strict=True)]
            result.server.append(spent[0])
            result.client.append(spent[1])
            result.wall.append(spent[2])
    return measured


def _server_cpu() -> Callable[[], float]:
    """Seconds of CPU of the process that serves this connection, where there is one."""
    if connection.vendor != "postgresql":
        return lambda: 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        path = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    with suppress(OSError):
        path.read_text()
        return lambda: int(path.read_text().split()[0]) / 1e9
    return lambda: 0.0


def _ratios(name: str, measured: dict[str, Measured], of: str = "wall") -> list[float]:
    """By round: what it adds to the open view, to what the baseline adds."""
    ours, base, floor = (getattr(measured[one], of) for one in (name, BASELINE, OPEN))
    return [(a - c) / (b - c) for a, b, c in zip(ours, base, floor, strict=True)]


def _row(name: str, sql: str, measured: dict[str, Measured]) -> list[str]:
    result, floor = measured[name], measured[OPEN]
    if name == OPEN:
        return [sql, f"({_low(result.wall):,.0f})", *[""] * 5]
    ratios = _ratios(name, measured)
    first, middle, third = quantiles(ratios, n=4)
    return [
        sql,
        f"{_low(result.wall) - _low(floor.wall):,.0f}",
        f"{middle:.2f}",
        f"{first:.2f} - {third:.2f}",
        f"{median(_ratios(name, measured, 'cpu')):.2f}",
        f"{_low(result.client) - _low(floor.client):,.0f}",
        f"{_low(result.server):,.0f}",
    ]


def _low(figures: list[float]) -> float:
    """The 5th percentile: what a round costs when the neighbours are quiet."""
    return quantiles(figures, n=20, method="inclusive")[0]


if __name__ == "__main__":
    main()
