"""The tables of docs/python-api.md, against the modules themselves."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import Any

import pytest

from pikku_auth import exceptions, models
from tests.docs.pages import text_of

SELDOM_SAID = {"context", "now"}
SECTION = re.compile(r"^## `([\w.]+)`$", re.MULTILINE)


@cache
def written() -> dict[str, dict[str, str | None]]:
    """By module: its names, and the arguments of what is called."""
    _, *parts = SECTION.split(text_of("python-api.md"))
    modules = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        module: dict(re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \|", text, re.MULTILINE))
        for module, text in modules.items()
    }


def public_names(module: str) -> set[str]:
    if module == exceptions.__name__:
        return {
            name
            for name, value in vars(exceptions).items()
            if inspect.isclass(value) and value.__module__ == module
        }
    return set(getattr(importlib.import_module(module), "__all__", written()[module]))


def arguments_of(value: Any) -> str:
    """Its parameters, as the page writes them."""
    found, is_keyword = [], False
    for one in inspect.signature(value).parameters.values():
        if one.name in SELDOM_SAID:
            continue
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            found.append("*")
        is_keyword = is_keyword or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        found.append({one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "") + one.name)
    return ", ".join(found)


@pytest.mark.parametrize("module", written())
def test_each_public_name_is_on_the_page(module: str) -> None:
    assert {*written()[module]} == public_names(module)


CALLED = [
    (module, name)
    for module, names in written().items()
    for name in names
    if names[name] or f"`{name}()`" in text_of("python-api.md")
]


@pytest.mark.parametrize(("module", "name"), CALLED)
def test_each_has_the_arguments_that_are_written(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    assert written()[module][name] == arguments_of(value)


def test_each_model_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", text_of("python-api.md").partition("## Models")[2]))
    assert named >= set(models.__all__) - {"Attempts", "KeyState"}
