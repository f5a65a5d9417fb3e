"""What the pages on containers, CI, PgBouncer and Redis show, run; what is of others is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command, get_commands, load_command_class
from django.db import connection

from pikku_auth.client.options import parser
from pikku_auth.flows import verify_key
from pikku_auth.models import APIKey, ServiceUser
from tests.conftest import pikku_settings
from tests.docs.commands import manage_commands
from tests.docs.pages import blocks, examples, run, text_of

FILE = "/tmp/pikku-api-key"  # noqa: S108  # as the page has it


@pytest.fixture(autouse=True)
def _any_scope_may_be_minted() -> Iterator[None]:
    with pikku_settings(SCOPES=None):
        yield


def commands_of(text: str) -> Iterator[list[str]]:
    """Those of ``manage.py``, typed in a shell or written as a list."""
    for found in re.findall(r'command: (\[.*"manage\.py".*\])', text):
        yield json.loads(found)[2:]
    lines = [line for line in text.splitlines() if "python manage.py " in line]
    yield from manage_commands("\n".join(lines))


@pytest.mark.parametrize("page", ["containers.md", "ci.md"])
def test_each_command_of_ours_has_these_options(page: str) -> None:
    texts = [text.replace("\\\n", " ") for _, text in blocks(page)]
    commands = [words for text in texts for words in commands_of(text)]
    assert commands
    for name, *arguments in commands:
        command: Any = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments)


def test_pages_say_what_is_not_run() -> None:
    assert "**No test builds the images or applies the manifests" in text_of("containers.md")
    assert "No test runs this workflow." in text_of("ci.md")
    assert "no test runs it" in text_of("pgbouncer.md")


@pytest.mark.django_db
def test_the_key_for_the_cluster_is_in_a_file(tmp_path: Path) -> None:
    (block,) = examples("containers.md", "bash")
    (words,) = manage_commands(block)
    file = tmp_path / "key"
    call_command(*[word.replace(FILE, str(file)) for word in words])
    principal = verify_key(file.read_text().strip(), scopes=["invoice:read"])
    assert principal.service_user
    assert principal.service_user.name == "billing"
    assert block.count(FILE) == 3


@pytest.mark.django_db
def test_the_pipeline_gets_a_key_with_a_ceiling_and_a_limit(tmp_path: Path) -> None:
    (block,) = examples("ci.md", "console")
    for words in manage_commands(block):
        call_command(*[word.replace("key.txt", str(tmp_path / "key.txt")) for word in words])
    assert ServiceUser.objects.get().scopes == ["sandbox:read", "sandbox:write"]
    key = APIKey.objects.get()
    assert (key.name, key.scopes, str(key.rate)) == ("web", ["sandbox:write"], "600/h")


def test_the_lines_for_ci_are_commands() -> None:
    whoami, check = examples("ci.md", "bash")
    program, *words = whoami.split()
    assert program == "pikku-auth"
    assert parser().parse_args(words)
    assert [words[0] for words in manage_commands(check)] == ["check", "show_access"]


def test_the_settings_for_pgbouncer_are_djangos() -> None:
    (block,) = examples("pgbouncer.md")
    database = run(block, {})["DATABASES"]["default"]
    assert set(database) - {"DISABLE_SERVER_SIDE_CURSORS"} <= set(connection.settings_dict)
    assert "prepare_threshold" not in str(database)


def test_the_cache_is_one_that_can_be_used(settings: Any) -> None:
    (block,) = examples("redis.md")
    names = run(block, {})
    settings.CACHES, settings.PIKKU_AUTH = names["CACHES"], names["PIKKU_AUTH"]
    assert "pikku_auth.E024" not in {found.id for found in run_checks()}
    settings.PIKKU_AUTH = {"CACHE": "default"}
    assert "pikku_auth.E024" in {found.id for found in run_checks()}
