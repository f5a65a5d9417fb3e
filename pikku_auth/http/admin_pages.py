"""Telling the pages of admin sites, which no credential opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from django.urls import ResolverMatch


def is_admin(match: ResolverMatch) -> bool:
    """Whether a page belongs to an admin site, however named and wherever mounted.

    Also one of a project that only goes through ``AdminSite.admin_view``.
    """
    return (
        "admin" in match.app_names
        or str(match.func.__module__).startswith("django.contrib.admin")
        or any(hasattr(type(value), "admin_view") for value in _closed_over_by(match.func))
    )


def _closed_over_by(view: object) -> Iterator[object]:
    """The variables that ``view`` refers to, and those of the functions among them."""
    waiting, seen = [view], set[int]()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        for cell in getattr(function, "__closure__", None) or ():
            with suppress(ValueError):  # the variable has no value yet
                waiting.append(cell.cell_contents)
        yield function
