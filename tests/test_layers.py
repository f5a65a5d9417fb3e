"""The map in docs/architecture.md, enforced: a room imports only rooms below it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pikku_auth

ROOT = Path(pikku_auth.__file__).parent

# Which room each top-level name of the package belongs to.
ROOMS = {
    "version": {"__init__"},
    "core": {"core"},
    "base": {"conf", "exceptions", "signals"},
    "state": {"models", "migrations", "principal"},
    "flows": {"flows"},
    "http": {"http"},
    "integrations": {
        "admin",
        "backends",
        "decorators",
        "middleware",
        "rest_framework",
        "templatetags",
        "urls",
        "views",
        "well_known",
    },
    "contrib": {"contrib"},
    "commands": {"management"},
    "wiring": {"apps", "checks"},
    "testing": {"testing"},
    "client": {"client"},
}
ROOM_OF = {name: room for room, names in ROOMS.items() for name in names}

# room -> our rooms it may import, other packages it may import
DJANGO = {"django", "asgiref"}
DRF = {"rest_framework", "drf_spectacular"}
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "version": (set(), set()),
    "core": (set(), set()),
    "base": ({"core"}, DJANGO),
    "state": ({"core", "base"}, DJANGO),
    "flows": ({"core", "base", "state"}, DJANGO | {"redis"}),
    "http": ({"core", "base", "state", "flows"}, DJANGO),
    "integrations": ({"core", "base", "state", "flows", "http"}, DJANGO | DRF),
    "contrib": (
        {"core", "base", "state", "flows", "http", "integrations"},
        DJANGO | {"channels", "ninja"},
    ),
    "commands": ({"core", "base", "state", "flows", "http", "integrations", "contrib"}, DJANGO),
    "wiring": ({"core", "base", "state", "flows", "http", "integrations", "contrib"}, DJANGO | DRF),
    "testing": ({"core", "base", "state", "flows"}, DJANGO | DRF),
    "client": ({"version", "core"}, {"requests", "httpx", "websockets"}),
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return ROOM_OF[path.relative_to(ROOT).parts[0].removesuffix(".py")]


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_allowed(room: str, name: str) -> bool:
    ours, others = MAY_IMPORT[room]
    first, _, rest = name.partition(".")
    if first == "pikku_auth":
        target = ROOM_OF.get(rest.partition(".")[0], "version")
        return target == room or target in ours
    return first in sys.stdlib_module_names or first in others


def test_every_module_has_a_room() -> None:
    names = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in modules()}
    assert names <= set(ROOM_OF)


def test_every_room_has_a_module() -> None:
    names = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in modules()}
    assert set(ROOM_OF) <= names


def test_imports_point_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} ({room_of(path)}) imports {name}"
        for path in modules()
        for name in imported_names(path)
        if not is_allowed(room_of(path), name)
    ]
    assert wrong == []
