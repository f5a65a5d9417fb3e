"""Credentials end at random moments, under load, while Redis is emptied, frozen and killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from pikku_auth.flows import create_service_user, mint_key
from pikku_auth.flows.cache import stamps
from pikku_auth.models import APIKey, Attempts, LoginSession
from pikku_auth.testing import key_headers, login_headers
from tests.cache.conftest import RedisServer
from tests.cache.test_cache import ENDS_OF_A_KEY, ENDS_OF_A_LOGIN
from tests.logins import logged_in
from tests.processes import PATIENCE

ROOT = Path(__file__).parent.parent.parent
CALLERS = 4
ACTS = int(os.environ.get("STORM_ACTS", "64"))
"""A thousand of them take five minutes: ``.ci/nightly`` has so many."""

Credential = APIKey | LoginSession


class Target(NamedTuple):
    """A credential, and how it will end."""

    credential: Credential
    headers: dict[str, str]
    end: str


class Call(NamedTuple):
    """A line of ``tests.cache.caller``."""

    number: int
    began: float
    duration: float
    status: int


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(1_800)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="one database proves it")
def test_nobody_gets_in_after_an_end_whatever_becomes_of_redis(
    redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    targets = list(new_targets())
    outputs = [tmp_path / f"caller-{number}" for number in range(CALLERS)]
    held: dict[int, float] = {}
    with ExitStack() as stack:
        for output in outputs:
            file = stack.enter_context(output.open("w"))
            stack.enter_context(caller(targets, redis, file))
        wait_for(outputs)
        order = random.sample(range(len(targets)), len(targets))
        for act, number in enumerate(order):
            disturb(redis, act)
            caplog.clear()
            end(targets[number])
            was_told = not any("could not be told" in line for line in caplog.messages)
            wait = 0.0 if was_told else stamps.LIFETIME.total_seconds()
            held[number] = time.monotonic() + wait
            time.sleep(random.uniform(0, 0.1))  # noqa: S311
        redis.restore()
        time.sleep(1)
    calls = [call for output in outputs for call in calls_in(output)]
    report(calls, held)
    assert len(held) == ACTS
    assert {call.status for call in calls} <= {200, 401}
    assert [call for call in calls if call.status == 200 and call.began > held[call.number]] == []


def new_targets() -> Iterator[Target]:
    ways = [*ENDS_OF_A_KEY, *ENDS_OF_A_LOGIN]
    for number in range(ACTS):
        way = ways[number % len(ways)]
        if way in ENDS_OF_A_KEY and (way not in ENDS_OF_A_LOGIN or number % 2):
            issued = mint_key(create_service_user(f"machine-{number}"))
            yield Target(issued.key, key_headers(issued), f"key {way}")
        else:
            model = get_user_model()
            name = f"human-{number}"
            name = f"{name}@example.com" if model.USERNAME_FIELD == "email" else name
            login = logged_in(model._default_manager.create_user(name))
            Attempts.objects.all().delete()  # all come from one address, and too many
            yield Target(login.login, login_headers(login), f"login {way}")


def end(target: Target) -> None:
    kind, _, way = target.end.partition(" ")
    ends: dict[str, Callable[[Any], Any]] = ENDS_OF_A_KEY if kind == "key" else ENDS_OF_A_LOGIN
    ends[way](type(target.credential)._default_manager.get(pk=target.credential.pk))


def disturb(redis: RedisServer, act: int) -> None:
    """Every eighth act meets a Redis in another state."""
    match act % 32:
        case 7:
            redis.client.flushall()
        case 15:
            redis.freeze()
        case 18:
            redis.thaw()
        case 23:
            redis.kill()
        case 26:
            redis.start()


@contextmanager
def caller(targets: list[Target], redis: RedisServer, output: IO[str]) -> Iterator[None]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.cache.settings",
        "STORM_DATABASE": str(connection.settings_dict["NAME"]),
        "STORM_REDIS": redis.url,
        "STORM_SETTINGS": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cache.caller"],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=output,
    ) as process:
        assert process.stdin is not None
        try:
            print(
                json.dumps([target.headers for target in targets]), file=process.stdin, flush=True
            )
            yield
            process.stdin.close()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def wait_for(outputs: list[Path]) -> None:
    """Until each caller has called often enough to have kept every credential."""
    deadline = time.monotonic() + PATIENCE
    while any(len(calls_in(output)) < 6 * ACTS for output in outputs):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def calls_in(output: Path) -> list[Call]:
    lines = output.read_text().splitlines()
    words = [line.split() for line in lines]
    return [Call(int(w[0]), float(w[1]), float(w[2]), int(w[3])) for w in words if len(w) == 4]


def report(calls: list[Call], held: dict[int, float]) -> None:
    """What ``pytest -s`` shows. No time here is a test: the machine may be busy."""
    late = sum(held_at > time.monotonic() for held_at in held.values())
    durations = sorted(call.duration for call in calls)
    sys.stdout.write(
        f"\n{len(calls)} calls of {CALLERS} processes, {len(held)} ends, {late} of them announced "
        f"for later; median {durations[len(durations) // 2] * 1e3:.1f} ms, "
        f"slowest {durations[-1] * 1e3:.0f} ms\n"
    )
