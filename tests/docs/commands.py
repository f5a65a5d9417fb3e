"""The commands of a page, typed with the values of a test."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from django.core.management import call_command

from pikku_auth.models import APIKey

PREVIEW = "pka_Ab12Cd34"
"""What the pages show of a key."""


def typed_in(block: str) -> list[str]:
    """The lines after a prompt, or all lines of a block without one, continued ones joined."""
    lines = block.replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return typed or lines


def manage_commands(block: str, key: APIKey | None = None) -> Iterator[list[str]]:
    """The words after ``manage.py`` of each such line, with the preview of ``key``."""
    for line in typed_in(block):
        found = re.search(r"(?:python )?manage\.py ([^)]*)", line)
        if found:
            words = found[1].replace(PREVIEW, key.preview if key else PREVIEW)
            yield shlex.split(words)


def run_commands(block: str, key: APIKey | None = None, *more: str) -> None:
    """Run each, with ``more`` words at the end."""
    for words in manage_commands(block, key):
        call_command(*words, *more)
