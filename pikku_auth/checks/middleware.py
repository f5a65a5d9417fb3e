"""Checks of the order of ``MIDDLEWARE``, by what the source of each one does with the user."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from contextlib import suppress
from textwrap import dedent
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from pikku_auth.middleware import PikkuAuthMiddleware

Function = ast.FunctionDef | ast.AsyncFunctionDef

_USER = {"user", "auser"}
_SETTERS = {"login", "alogin"}  # of django.contrib.auth
_BEFORE_THE_VIEW = ["__call__", "__acall__", "process_request"]
_AFTER_THE_VIEW = {"process_response", "process_exception", "process_template_response"}


def order_of_middleware() -> Iterator[CheckMessage]:
    """What sets ``request.user`` belongs before ours, and what reads it after ours."""
    listed = [*_listed()]
    ours = [place for place, (_, found) in enumerate(listed) if _is_ours(found)]
    if not ours:
        return
    our_name = listed[ours[0]][0]
    for name, found in listed[ours[0] + 1 :]:
        if not _is_ours(found) and sets_user(found):
            yield Error(
                f"{name} sets request.user, and comes after {our_name}. The caller of a request "
                "with an API key or a login token was decided before it.",
                hint=f"In MIDDLEWARE, list {our_name!r} after {name!r}.",
                id="pikku_auth.E010",
            )
    for name, found in listed[: ours[0]]:
        if reads_user(found) and not sets_user(found):
            yield CheckWarning(
                f"{name} reads request.user, and comes before {our_name}. For a request with an "
                "API key or a login token it sees the user of the session, or nobody.",
                hint=f"In MIDDLEWARE, list {our_name!r} before {name!r}, and after everything "
                "that sets request.user.",
                id="pikku_auth.W017",
            )


def sets_user(middleware: object) -> bool:
    """Whether it assigns ``request.user`` or logs somebody in, before the view runs."""
    return any(
        _is_assignment(node, _requests_in(function))
        for name, function in _functions_of(middleware).items()
        if name not in _AFTER_THE_VIEW
        for node in ast.walk(function)
    )


def reads_user(middleware: object) -> bool:
    """Whether it reads ``request.user`` on the way to the view, before any ``process_view``."""
    functions = _functions_of(middleware)
    waiting, seen = [*_BEFORE_THE_VIEW, *(name for name in functions if "." in name)], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in _before_get_response(functions[name]):
            if _is_reading(node, _requests_in(functions[name])):
                return True
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                waiting.append(node.attr)  # perhaps a method that is called
    return False


def _listed() -> Iterator[tuple[str, object]]:
    for name in settings.MIDDLEWARE:
        with suppress(ImportError):  # which Django reports when it starts
            yield name, import_string(name)


def _is_ours(middleware: object) -> bool:
    return inspect.isclass(middleware) and issubclass(middleware, PikkuAuthMiddleware)


def _functions_of(middleware: Any) -> dict[str, Function]:
    """The methods of a class by name; of a function, itself and those in it as ``.0``, ``.1``, …"""
    if not inspect.isclass(middleware):
        definitions = _definitions_in(middleware, nested=True)
        return {f".{number}": node for number, node in enumerate(definitions)}
    return {
        name: definition
        for parent in reversed(middleware.__mro__)
        for name, value in vars(parent).items()
        if inspect.isfunction(value)
        for definition in _definitions_in(value)
    }


def _definitions_in(function: Any, *, nested: bool = False) -> Iterator[Function]:
    with suppress(OSError, TypeError, SyntaxError):  # no source, as of what is compiled
        tree = ast.parse(dedent(inspect.getsource(inspect.unwrap(function))))
        for node in ast.walk(tree) if nested else tree.body:
            if isinstance(node, Function):
                yield node


def _requests_in(function: Function) -> set[str]:
    """The names that may be a request in there."""
    every = [node.arg for node in ast.walk(function) if isinstance(node, ast.arg)]
    return {"request", *every} - {"self", "cls", "user", "response", "get_response"}


def _before_get_response(function: Function) -> Iterator[ast.AST]:
    places = [_place(node) for node in ast.walk(function) if _names(node, {"get_response"})]
    end = min(places, default=(float("inf"), 0.0))
    inner = {id(node) for other in ast.walk(function) for node in _inside(other, function)}
    for node in ast.walk(function):
        if id(node) not in inner and isinstance(node, ast.expr) and _place(node) < end:
            yield node


def _inside(node: ast.AST, function: Function) -> Iterator[ast.AST]:
    """What belongs to another function in ``function``, which is looked at by itself."""
    if isinstance(node, Function) and node is not function:
        yield from ast.walk(node)


def _place(node: Any) -> tuple[float, float]:
    return node.lineno, node.col_offset


def _names(node: ast.AST, names: set[str]) -> bool:
    return (isinstance(node, ast.Name) and node.id in names) or (
        isinstance(node, ast.Attribute) and node.attr in names
    )


def _is_user_of(node: ast.AST, requests: set[str], context: type[ast.expr_context]) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _USER
        and isinstance(node.ctx, context)
        and _names(node.value, requests)
    )


def _calls(node: ast.AST, functions: set[str], requests: set[str]) -> list[ast.expr]:
    """The arguments of a call of one of ``functions`` with the request."""
    called = isinstance(node, ast.Call) and _names(node.func, functions)
    arguments = node.args if called else []  # type: ignore[attr-defined]  # of a call
    return arguments if arguments and _names(arguments[0], requests) else []


def _calls_for_user(node: ast.AST, function: str, requests: set[str]) -> bool:
    """Whether it is ``getattr(request, "user", …)``, or ``setattr``."""
    return any(
        isinstance(argument, ast.Constant) and argument.value in _USER
        for argument in _calls(node, {function}, requests)[1:2]
    )


def _is_assignment(node: ast.AST, requests: set[str]) -> bool:
    return (
        _is_user_of(node, requests, ast.Store)
        or _calls_for_user(node, "setattr", requests)
        or bool(_calls(node, _SETTERS, requests))
    )


def _is_reading(node: ast.AST, requests: set[str]) -> bool:
    return _is_user_of(node, requests, ast.Load) or _calls_for_user(node, "getattr", requests)
