"""``python -m benchmarks.scale``: what a million keys make slower. PostgreSQL only.

``KEYS`` is the larger number. Rows are made by the database itself, in a minute a million.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from django.db import connection

from benchmarks.harness import print_setting, print_table, throwaway_database, timed
from pikku_auth.flows.database import primary
from pikku_auth.flows.lookup import find_by_digest
from pikku_auth.models import APIKey

KEYS = int(os.environ.get("KEYS", "1000000"))
FEW = 1_000
CALLERS = 1_000

_USERS = """
    INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, first_name,
        last_name, email, date_joined)
    SELECT 'user-' || i, '!', false, false, true, '', '', '', now()
    FROM generate_series(1, %s) AS i"""
_OWNERS = """
    INSERT INTO pikku_auth_serviceuser (name, description, contacts, user_id, is_active, created_at)
    SELECT 'machine-' || row_number() OVER (ORDER BY id), '', '[]', id, true, now()
    FROM auth_user"""
_KEYS = """
    INSERT INTO pikku_auth_apikey (service_user_id, name, preview, digest, permissions, metadata,
        networks, delegation, is_suspended, parent_networks, created_at, expires_at, enabled,
        revoke_reason, window_calls, last_used_at)
    SELECT first + i %% %s, 'key-' || i, 'pka_' || left(md5(i::text), 8),
        md5(i::text) || md5((-i)::text), '{"sandbox": ["read"]}', '{}', '[]', '{}', false, '[]',
        now(),
        now() + (i %% 100 - 50) * interval '1 day', true, '', 0, now() + interval '1 day'
    FROM generate_series(1, %s) AS i, (SELECT min(id) AS first FROM pikku_auth_serviceuser) AS f"""


def main() -> None:
    """Measure, and print two tables."""
    if connection.vendor != "postgresql":
        sys.exit("Name a PostgreSQL in DATABASE_URL.")
    rows = []
    for keys, owners in [(FEW, 1), (FEW, FEW), (KEYS, 1), (KEYS, KEYS)]:
        with throwaway_database():
            fill(keys, owners)
            timings = timed({"look-up": look_up(keys)})
            rows.append([f"{keys:,} keys of {owners:,}", *timings["look-up"].columns()])
            if keys == owners == KEYS:
                commands = command_rows()
    print_setting()
    print_table("a look-up among", ["CPU p10", "median", "wall p10", "median"], rows)
    print_table("a command", ["first line s", "all s", "memory MB"], commands)


def fill(keys: int, owners: int) -> None:
    """Keys, half of which have expired, of so many service users in turn."""
    with connection.cursor() as cursor:
        cursor.execute(_USERS, [owners])
        cursor.execute(_OWNERS)
        cursor.execute(_KEYS, [owners, keys])
        cursor.execute("ANALYZE")


def look_up(keys: int) -> Callable[[], None]:
    """One look-up, of another key each time."""
    step = max(1, keys // CALLERS)
    digests = cycle(APIKey.objects.order_by("pk").values_list("digest", flat=True)[::step])
    using = primary()

    def call() -> None:
        if find_by_digest(APIKey, next(digests), "service_user", "user", using=using) is None:
            raise RuntimeError

    return call


def command_rows() -> list[list[str]]:
    commands = [
        ["list_keys", "--format", "jsonl"],
        ["list_keys", "--format", "json"],
        ["list_keys"],
        ["prune_auth", "--keys-older-than", "1d", "--limit", "100000"],
    ]
    return [[" ".join(words), *_run(words)] for words in commands]


def _run(words: list[str]) -> list[str]:
    """Seconds to the first line and to the end, and the most memory that a command has had."""
    environment = {**os.environ, "BENCHMARK_DATABASE": str(connection.settings_dict["NAME"])}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "manage.py", *words],
        env={**environment, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"},
        stdout=subprocess.PIPE,
    ) as process:
        first, memory = None, 0.0
        for number, _ in enumerate(process.stdout or ()):
            first = first or time.perf_counter() - began
            if number % 10_000 == 0:
                memory = _most_memory_of(process.pid)
    whole = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(words)
    return [f"{first or whole:.1f}", f"{whole:.1f}", f"{memory:,.0f}" if memory else ""]


def _most_memory_of(pid: int) -> float:
    """Megabytes; of a child, ``getrusage`` would tell what its parent had before."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
