"""A throw-away database, interleaved timing, and a table."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

import django
import rest_framework
from django.db import connection
from django.test.utils import CaptureQueriesContext

ROUNDS = int(os.environ.get("ROUNDS", "30"))
CALLS = int(os.environ.get("CALLS", "40"))


@dataclass
class Timing:
    """Microseconds a call, one figure a round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def add(self, call: Callable[[], object]) -> None:
        """Time one round of ``call``."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(CALLS):
            call()
        self.cpu.append((time.process_time() - cpu) / CALLS * 1e6)
        self.wall.append((time.perf_counter() - wall) / CALLS * 1e6)

    def columns(self) -> list[str]:
        """CPU and wall, each as the 10th percentile and the median."""
        return [
            f"{figure:,.0f}"
            for figures in (self.cpu, self.wall)
            for figure in (p10(figures), median(figures))
        ]


TIMING_COLUMNS = ["CPU p10", "median", "wall p10", "median"]


def p10(figures: list[float]) -> float:
    """The 10th percentile: what a round costs when the neighbours are quiet."""
    return quantiles(figures, n=10)[0]


def timed(cases: Mapping[str, Callable[[], object]]) -> dict[str, Timing]:
    """Time every case once a round, so that a noisy moment hits them all alike."""
    timings = {name: Timing() for name in cases}
    for call in cases.values():
        call()
    for _ in range(ROUNDS):
        for name, call in cases.items():
            timings[name].add(call)
    return timings


@contextmanager
def throwaway_database() -> Iterator[None]:
    """Make a database beside the configured one, and drop it afterwards."""
    configured = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(configured, verbosity=0)


def tidy() -> None:
    """Do what a server would otherwise start to do in the middle of the measuring."""
    with connection.cursor() as cursor:
        if connection.vendor != "mysql":
            cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def setting() -> str:
    """What is measured with what."""
    version = ".".join(map(str, connection.get_database_version()))
    return (
        f"Python {platform.python_version()}, Django {django.__version__}, "
        f"DRF {rest_framework.__version__}, {connection.display_name} {version}; "
        f"{ROUNDS} rounds of {CALLS} calls; µs"
    )


def print_setting() -> None:
    """Say what was measured with what."""
    print(setting())


def print_table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print in columns: the first to the left, the others to the right."""
    lines = [[title, *heads], *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))


def markdown_table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """The same in Markdown."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def queries_of(call: Callable[[], object]) -> str:
    """The verbs of the statements that ``call`` sends, such as ``1 SELECT``."""
    call()
    with CaptureQueriesContext(connection) as captured:
        call()
    verbs = [query["sql"].split(maxsplit=1)[0] for query in captured.captured_queries]
    return ", ".join(f"{verbs.count(verb)} {verb}" for verb in dict.fromkeys(verbs)) or "none"
