"""What the URLconf serves, one route after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RegexPattern


@dataclass(frozen=True, slots=True)
class Route:
    """A path as people read it, its view, and its name with the namespaces before it."""

    path: str
    view: Any
    name: str
    app_names: tuple[str, ...] = ()


def routes() -> Iterator[Route]:
    """The routes of ``ROOT_URLCONF``; none without that setting."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _routes(get_resolver().url_patterns, Route("/", None, ""))


def _routes(patterns: Iterable[Any], above: Route) -> Iterator[Route]:
    for entry in patterns:
        text = _readable(entry.pattern)
        path = above.path + (text.removeprefix("/") if above.path.endswith("/") else text)
        if isinstance(entry, URLResolver):
            name = f"{above.name}{entry.namespace}:" if entry.namespace else above.name
            app_names = (*above.app_names, entry.app_name) if entry.app_name else above.app_names
            yield from _routes(entry.url_patterns, Route(path, None, name, app_names))
        else:
            name = f"{above.name}{entry.name}" if entry.name else ""
            yield Route(path, entry.callback, name, above.app_names)


def _readable(pattern: Any) -> str:
    text = str(pattern)
    if not isinstance(pattern, RegexPattern):
        return text
    from django.contrib.admindocs import utils  # imports docutils where that is installed

    for replace in (
        utils.remove_non_capturing_groups,
        utils.replace_named_groups,
        utils.replace_unnamed_groups,
        utils.replace_metacharacters,
    ):
        text = replace(text)
    return text
