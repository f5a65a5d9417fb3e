"""The names that docs/security.md gives to Sentry hide every secret that is sent to us."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.docs.pages import ROOT, text_of


def test_sentry_sends_no_secret_of_any_endpoint() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.with_sentry"],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "sqlite://:memory:"},
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) == 15
    assert [name for name, (events, _) in told.items() if events == 0] == []
    assert {name: found for name, (_, found) in told.items() if found} == {}


def test_docs_say_that_the_clients_file_is_not_uploaded() -> None:
    assert "Never upload the client's session file" in text_of("security.md")
