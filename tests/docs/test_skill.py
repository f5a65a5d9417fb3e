"""docs/skill/SKILL.md, followed by an agent in a new project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from pikku_auth import flows
from pikku_auth.rest_framework import HasScope
from pikku_auth.testing import client_with_key
from tests.docs.newcomer import Memory, Shell, alike, steps_of
from tests.docs.pages import examples, text_of
from tests.docs.test_tutorial_key import INSTALLING
from tests.docs.test_tutorial_login import write
from tests.test_readme import free_port

PAGE = "skill/SKILL.md"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    shell.type("django-admin startproject site_ .")
    yield shell
    shell.end()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the project has a SQLite of its own")
def test_each_step_is_validated_as_is_shown(shell: Shell, tmp_path: Path) -> None:
    port, memory = str(free_port()), Memory()
    for place, text in steps_of(PAGE):
        if place == INSTALLING:
            continue
        if not place.startswith("$ "):
            write(tmp_path, place, text)
            continue
        command = place.removeprefix("$ ").replace("8000", port)
        if command.endswith(" &"):
            command = f"{command.removesuffix('&')} >server.log 2>&1 &"
        assert memory.said(shell.type(command)) == alike(text), command


def test_the_blocks_are_files_and_commands() -> None:
    assert len(examples("skill/SKILL.md")) == 3
    assert examples("skill/SKILL.md", "console")[0] == f"{INSTALLING}\n"


def test_the_head_says_what_an_agent_needs_to_choose_it() -> None:
    head = re.match(r"---\nname: ([a-z-]+)\ndescription: (.+)\n---\n", text_of(PAGE))
    assert head
    assert head[1] == "pikku-auth"
    assert len(head[2]) < 1024


def test_each_verb_and_command_that_it_names_exists() -> None:
    text = text_of(PAGE)
    verbs = re.findall(r"`pikku_auth\.flows\.(\w+)`", text)
    commands = re.findall(r"python manage\.py (\w+)", text)
    assert verbs
    assert [verb for verb in verbs if not hasattr(flows, verb)] == []
    for command in set(commands) - {"test"}:
        assert load_command_class(get_commands()[command], command)


@pytest.mark.django_db
@pytest.mark.parametrize(("permission", "status"), [(IsAdminUser, 403), (IsAuthenticated, 200)])
def test_gotcha_about_a_composed_permission_is_so(
    settings: Any, permission: Any, status: int
) -> None:
    @api_view()
    @permission_classes([HasScope("sandbox:read") | permission])
    def view(request: Request) -> Response:
        return Response({})

    settings.ROOT_URLCONF = (path("it/", view),)
    assert client_with_key().get("/it/").status_code == status
