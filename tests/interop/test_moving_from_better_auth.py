"""A project whose callers have keys of a real better-auth server is moved by its guide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.docs.pages import examples
from tests.interop.conftest import HERE, Server, serving
from tests.moving.site import KEYS_ONLY, Site, answers_of, blurred, printed_in
from tests.processes import PATIENCE

*_, SETTING = examples("moving.md")
*_, BY_BETTER_AUTH, _ = examples("moving.md", "console")
HEADER = "x-api-key: "


@pytest.fixture
def better_auth_keys(node_modules: None, tmp_path: Path) -> Iterator[Server]:
    script = str(HERE / "better_auth_keys.mjs")
    with serving(tmp_path, lambda port: ["node", script, str(port)]) as server:
        yield server


def ask(server: Server, path: str) -> str:
    return requests.get(f"{server.url}/{path}/", timeout=PATIENCE).text


def test_keys_of_better_auth_are_moved(better_auth_keys: Server, tmp_path: Path) -> None:
    secrets = json.loads(ask(better_auth_keys, "keys"))
    before = answers_of(better_auth_keys.url, HEADER, secrets)
    assert before == {
        "billing": (200, ""), "nightly": (200, ""), "plain": (200, ""), "paused": (401, None)
    }  # fmt: skip
    site = Site(tmp_path, header=HEADER)
    site.write_views(KEYS_ONLY)
    site.join()
    site.append(SETTING)
    (site.folder / "apikeys.json").write_text(ask(better_auth_keys, "dump"))
    assert blurred(site.type(BY_BETTER_AUTH)) == blurred(printed_in(BY_BETTER_AUTH))
    moved = {
        "billing": (200, "reporting"), "nightly": (200, "reporting"),
        "plain": (401, None), "paused": (401, None),
    }  # fmt: skip
    assert site.answers(secrets) == moved
    rows = (
        "from pikku_auth.models import APIKey\n"
        "told = {k.name: [k.metadata, k.remaining, str(k.refill)] for k in APIKey.objects.all()}"
    )
    # One call was counted by each of the two.
    assert site.python(rows) == {"billing": [{}, None, "None"], "nightly": [{}, 98, "100/h"]}
    more = ["--file", "apikeys.json", "--service", "reporting", "--scope", "reports:read"]
    site.manage("import_keys", "--from", "better-auth", *more)
    assert site.answers(secrets) == {**moved, "plain": (200, "reporting")}
