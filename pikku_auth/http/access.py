"""Who gets into a view, as far as its declarations say; ``manage.py show_access`` prints it.

Each integration reads the declarations of its own views. What they have in common is here, and
the views of plain Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import ResolverMatch
from django.utils.module_loading import import_string

from pikku_auth.conf import conf
from pikku_auth.http.admin_pages import is_admin
from pikku_auth.http.routes import Route
from pikku_auth.http.unscoped_views import is_view_marked

USER = "any key"
HUMAN = "a signed-in human"
STAFF = "staff"
UNKNOWN = "unknown"

_IMPLIED = {"head", "options"}

Way = frozenset[str]
"""What a caller has to be or to have: scopes, and the words above. Nothing is for anybody."""

ANYBODY: Way = frozenset()
DECLARED = "_pikku_auth_access"
"""The attribute of a plain view that says who gets in."""
_METHODS = "_pikku_auth_methods"

NOT_SCOPES = {USER, HUMAN, STAFF, UNKNOWN}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call one method: callers that meet one of the ``ways``."""

    method: str
    ways: tuple[Way, ...]
    takes_keys: bool = True

    @property
    def kind(self) -> str:
        """The widest way: ``anybody``, ``unknown``, ``any key``, ``scopes``, a human, ``staff``."""
        if ANYBODY in self.ways:
            return "anybody"
        if any(UNKNOWN in way for way in self.ways):
            return UNKNOWN
        if frozenset({USER}) in self.ways:
            return USER
        if self.scopes:
            return "scopes"
        if frozenset({HUMAN}) in self.ways:
            return HUMAN
        return STAFF if self.ways else "nobody"

    @property
    def scopes(self) -> list[str]:
        """Every scope that one of the ways demands."""
        return sorted({demand for way in self.ways for demand in way} - NOT_SCOPES)

    @property
    def is_open(self) -> bool:
        """Whether a key without scopes gets in, or may.

        Admin sites take no keys, and our own endpoints give one nothing but its own data.
        """
        return self.takes_keys and any(way <= {USER, UNKNOWN} for way in self.ways)

    def __str__(self) -> str:
        return " or ".join(sorted(map(_in_words, self.ways))) or "nobody"


def access(method: str, ways: Iterable[Way], *, keys_come_in: bool) -> Access:
    """The access that the ways describe, for a view that keys reach, or that is closed to them."""
    if not keys_come_in:
        ways = [_for_humans(way) for way in ways]
    ways = set(ways)
    shortest = (way for way in ways if not any(other < way for other in ways))
    return Access(method, tuple(sorted(shortest, key=sorted)))


def access_to_plain(route: Route) -> list[Access]:
    """Who gets into a view of plain Django, one entry a method; ``*`` is for every method."""
    match = ResolverMatch(route.view, (), {}, app_names=[*route.app_names])
    if is_admin(match):
        way = ANYBODY if route.name.endswith(":login") else frozenset({STAFF})
        return [Access("*", (way,), takes_keys=False)]
    return [_by_method(route.view, method) for method in _methods_of(route.view)]


def keys_reach_undeclared() -> bool:
    """Whether a view that declares nothing may see a key: behind our middleware, when it's open."""
    return conf.unscoped_views == "open" and is_behind_our_middleware()


def is_behind_our_middleware() -> bool:
    """Whether ``MIDDLEWARE`` lists :class:`~pikku_auth.middleware.PikkuAuthMiddleware`."""
    return any(map(_is_ours, settings.MIDDLEWARE))


def _by_method(view: Any, method: str) -> Access:
    declared: tuple[Way, ...] | None = getattr(view, DECLARED, None)
    if declared is not None:
        return Access(method, declared, takes_keys=not hasattr(view, "handles_own_auth_errors"))
    if is_view_marked(view, method):
        return Access(method, (frozenset({USER}),))
    keys_come_in = keys_reach_undeclared() and not hasattr(view, "credentials_exempt")
    return access(method, [frozenset({UNKNOWN})], keys_come_in=keys_come_in)


def _methods_of(view: Any) -> list[str]:
    declared: list[str] | None = getattr(view, _METHODS, None)
    if declared is not None:
        return declared
    view_class = getattr(view, "view_class", None)
    names = [name for name in getattr(view_class, "http_method_names", ()) if name not in _IMPLIED]
    found = [name.upper() for name in names if hasattr(view_class, name)]
    return found or ["*"]


def _for_humans(way: Way) -> Way:
    """The same way for a view that is closed to keys: its user is a human."""
    return way - {USER} | {HUMAN} if way else way


def _in_words(way: Way) -> str:
    scopes = sorted(way - NOT_SCOPES)
    words = sorted(way & NOT_SCOPES)
    if scopes or len(words) > 1:
        words = [word for word in words if word not in (USER, HUMAN)]
    return " and ".join([*words, *scopes]) or "anybody"


def _is_ours(path: str) -> bool:
    return getattr(import_string(path), "decides_who_calls", False) is True


def declare(view: Any, *ways: Way, methods: Iterable[str] | None = None) -> Any:
    """Say on ``view`` itself who gets in."""
    setattr(view, DECLARED, ways)
    if methods is not None:
        setattr(view, _METHODS, [method for method in methods if method != "HEAD"])
    return view


Reader = Callable[[Route], list[Access] | None]
"""Reads the views of one integration; ``None`` for those of another."""
