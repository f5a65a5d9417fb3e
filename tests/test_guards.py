"""The guards of conftest.py: a test fails whose secret is in a log or a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE

ROOT = Path(__file__).parent.parent
LEAKY = """
import logging

import pytest
from django.contrib.auth.models import Group

from pikku_auth.core.secrets import generate

SECRETS = []


@pytest.fixture(scope="module")
def shared():
    return generate("pka").reveal()


@pytest.fixture
def own():
    SECRETS.append(generate("pka").reveal())
    return SECRETS[-1]


def test_own_secret_is_logged(own):
    logging.getLogger("host").debug("a %s", own)


@pytest.mark.django_db
def test_own_secret_is_stored(own):
    Group.objects.create(name=f"a {own}")


def test_shared_secret_is_made(shared):
    pass


def test_shared_secret_is_logged(shared):
    logging.getLogger("host").debug("a %s", shared)


@pytest.mark.django_db
def test_shared_secret_is_stored(shared):
    Group.objects.create(name=f"a {shared}")


def test_secret_of_another_test_is_logged():
    logging.getLogger("host").debug("a %s", SECRETS[0])


@pytest.mark.django_db
def test_nothing_is_leaked(own):
    Group.objects.create(name=own[:8])
    logging.getLogger("host").debug("a %s", own[:8])
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test of a module that leaks: by name."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "test_leaky.py").write_text(LEAKY)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.conftest"]')
    options = ["-q", "-rA", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-c", ROOT / "setup.cfg", folder],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines() if "::test_" in line]
    found = {line[1].partition("::")[2]: line[0] for line in lines if line[0].isupper()}
    assert len(found) == LEAKY.count("def test_"), done.stdout + done.stderr
    return found


@pytest.mark.parametrize("whose", ["own", "shared"])
@pytest.mark.parametrize("what", ["logged", "stored"])
def test_a_secret_that_leaks_is_an_error(outcomes: dict[str, str], whose: str, what: str) -> None:
    assert outcomes[f"test_{whose}_secret_is_{what}"] == "ERROR"


@pytest.mark.parametrize(
    "name", ["nothing_is_leaked", "shared_secret_is_made", "secret_of_another_test_is_logged"]
)
def test_a_test_answers_for_its_own_secrets_alone(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[f"test_{name}"] == "PASSED"
