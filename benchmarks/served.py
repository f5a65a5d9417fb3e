"""``python -m benchmarks.served``: requests a second behind gunicorn, by the share of an open view.

Two sync workers, and wrk with eight connections, which must be installed. For each of
``REPEATS`` a server is started as a host would set it, and its views are asked in a random order.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from django.db import connection

from benchmarks.candidates import Candidate, candidates
from benchmarks.harness import print_setting, print_table, throwaway_database, tidy
from benchmarks.peers import KEYS

REPEATS = int(os.environ.get("REPEATS", "3"))
SECONDS = int(os.environ.get("SECONDS", "5"))
with socket.create_server(("127.0.0.1", 0)) as _free:
    ADDRESS = "{}:{}".format(*_free.getsockname())

PLAIN = ["key", "login", "limited", "authtoken", "knox", "api-key", "scoped", "jwt"]
MODES = {"plain": PLAIN, "prepared": ["key", "limited", "authtoken"], "cached": ["key"]}

_SCRIPT = """
local headers = {%s}
local number = math.random(#headers)
request = function()
  number = number %% #headers + 1
  return wrk.format("GET", nil, headers[number])
end
"""


def main() -> None:
    """Measure, and print a table."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing, which makes the load: apt install wrk")
    shares: dict[tuple[str, str], list[float]] = {}
    rates: dict[tuple[str, str], list[float]] = {}
    with throwaway_database(), TemporaryDirectory() as folder:
        everyone = {one.slug: one for one in candidates(KEYS)}
        tidy()
        scripts = {slug: _script(one, Path(folder)) for slug, one in everyone.items()}
        for mode in list(MODES) * REPEATS:
            with _server(mode):
                slugs = ["open", *MODES[mode]]
                found = {
                    slug: _rate(slug, scripts[slug]) for slug in random.sample(slugs, len(slugs))
                }
            for slug in MODES[mode]:
                rates.setdefault((mode, slug), []).append(found[slug])
                shares.setdefault((mode, slug), []).append(found[slug] / found["open"])
        print_setting()
        print(f"{KEYS:,} credentials of each; load {os.getloadavg()[0]:.1f} at the end")
        print_table(
            "behind gunicorn",
            ["requests/s", "x open", "least", "most"],
            [
                [
                    f"{everyone[slug].name}, {mode}" if mode != "plain" else everyone[slug].name,
                    f"{median(rates[mode, slug]):,.0f}",
                    *(f"{figure(shares[mode, slug]):.2f}" for figure in (median, min, max)),
                ]
                for mode, slug in shares
            ],
        )


def _script(candidate: Candidate, folder: Path) -> Path:
    """For wrk: the headers of all callers, in turn."""
    path = folder / f"{candidate.slug}.lua"
    tables = (
        "{" + ",".join(f'["{name}"]="{value}"' for name, value in headers.items()) + "}"
        for headers in candidate.callers
    )
    path.write_text(_SCRIPT % ",".join(tables))
    return path


@contextmanager
def _server(mode: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "BENCHMARK_DATABASE": str(connection.settings_dict["NAME"]),
        "BENCHMARK_MODE": mode,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
    }
    command = [sys.executable, "-m", "gunicorn", "benchmarks.wsgi", "--workers", "2"]
    with subprocess.Popen(
        [*command, "--bind", ADDRESS, "--log-level", "error"], env=environment
    ) as process:
        try:
            time.sleep(4)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _rate(slug: str, script: Path) -> float:
    """Requests a second, after a warm-up.

    :raises RuntimeError: when one was refused.
    """
    command = ["wrk", "-t1", "-c8", "-s", str(script), f"http://{ADDRESS}/{slug}"]
    subprocess.run([*command, "-d3"], check=True, capture_output=True)
    run = subprocess.run([*command, f"-d{SECONDS}"], check=True, capture_output=True, text=True)
    rate = re.search(r"Requests/sec: +([\d.]+)", run.stdout)
    if "Non-2xx" in run.stdout or rate is None:
        raise RuntimeError(f"{slug}: {run.stdout}")
    return float(rate[1])


if __name__ == "__main__":
    main()
