"""The examples of the documentation, to be run by the tests beside this and in other folders.

``test_census.py`` finds what is run by the calls of :func:`examples` and :func:`names_of`, so
their arguments are written out where they are called.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    """``keys.md`` is in ``docs/``; ``README.md`` is not."""
    folder = ROOT / "docs" if (ROOT / "docs" / page).is_file() else ROOT
    return (folder / page).read_text()


def blocks(page: str) -> list[tuple[str, str]]:
    """The language and the text of each fenced block."""
    return BLOCK.findall(text_of(page))


def examples(page: str, language: str = "python") -> list[str]:
    """The fenced blocks of that language."""
    return [text for found, text in blocks(page) if found == language]


def run(example: str, names: dict[str, Any]) -> dict[str, Any]:
    """``names``, with what the example makes of them."""
    names.setdefault("__name__", "a_page")  # what its functions and classes are a part of
    exec(example, names)  # noqa: S102  # the documentation is the thing under test
    return names


def names_of(page: str, **given: Any) -> dict[str, Any]:
    """What the page's Python makes of the names that are ``given``, one example after another."""
    for example in examples(page):
        run(example, given)
    return given
