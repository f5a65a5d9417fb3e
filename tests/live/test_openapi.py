"""Requests that Schemathesis makes of the OpenAPI document, to a real server on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pikku_auth.flows import IssuedKey
from pikku_auth.http.openapi import DOCUMENT
from pikku_auth.models import APIKey
from tests.live.conftest import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
EXAMPLES = 5
"""Of each endpoint, beside those that try its bounds one by one."""

CONFIGURATION = """
[phases.coverage]
unexpected-methods = []
"""
"""Another method is a 404 without a body, which the document leaves out."""


@pytest.fixture
def schemathesis(servers: dict[str, Server], tmp_path: Path) -> Callable[..., None]:
    """Make requests; the same ones each time."""

    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)

    def run(*options: str) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)),
                *("--url", f"{servers['uvicorn'].url}/auth", "--generation-deterministic"),
                *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)),
                *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink"),
                *("--no-color", "--warnings", "off", *options),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr

    return run


def test_nobody_gets_what_is_written(schemathesis: Callable[..., None]) -> None:
    schemathesis()


def test_a_machine_gets_what_is_written(
    schemathesis: Callable[..., None], mint: Callable[..., IssuedKey]
) -> None:
    issued = mint(scopes=["auth:*", "sandbox:*"])
    schemathesis("-H", f"x-api-key: {issued.secret.reveal()}", "--exclude-path", "/api-key/rotate")
    assert issued.key.children.exists(), "no request was a good one"


def test_a_machine_that_rotates_gets_what_is_written(
    schemathesis: Callable[..., None], mint: Callable[..., IssuedKey]
) -> None:
    """By a key of its own, because it may rotate itself."""
    issued = mint(scopes=["auth:*", "sandbox:*"])
    schemathesis("-H", f"x-api-key: {issued.secret.reveal()}", "--include-path", "/api-key/rotate")
    assert APIKey.objects.filter(rotated_from=issued.key).exists(), "no request was a good one"
