"""What the URLconf serves, one route after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.admindocs.utils import (
    remove_non_capturing_groups,
    replace_metacharacters,
    replace_named_groups,
    replace_unnamed_groups,
)
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RegexPattern


@dataclass(frozen=True, slots=True)
class Route:
    """A path as people read it, its view, and its name with the namespaces before it."""

    path: str
    view: Any
    name: str


def routes() -> Iterator[Route]:
    """Those of ``ROOT_URLCONF``; none where there is no such setting."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _routes(get_resolver().url_patterns, "/", "")


def _routes(patterns: Iterable[Any], path: str, namespace: str) -> Iterator[Route]:
    for entry in patterns:
        here = path + _readable(entry.pattern).removeprefix("/" if path.endswith("/") else "")
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _routes(entry.url_patterns, here, inner)
        else:
            yield Route(here, entry.callback, f"{namespace}{entry.name}" if entry.name else "")


def _readable(pattern: Any) -> str:
    text = str(pattern)
    if not isinstance(pattern, RegexPattern):
        return text
    for replace in (
        remove_non_capturing_groups,
        replace_named_groups,
        replace_unnamed_groups,
        replace_metacharacters,
    ):
        text = replace(text)
    return text
