"""Every example of the documentation is run by a test, or is for the eye and says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.docs.pages import ROOT, blocks, text_of

Kind = tuple[str, str]
"""A page, and the language of some of its examples."""

FOR_THE_EYE: dict[Kind, str] = {
    ("architecture.md", ""): "a map of the rooms; tests/test_layers.py enforces it",
    ("operations.md", "yaml"): "for Kubernetes and GitHub, which the tests don't have",
    ("operations.md", "bash"): "for Vault, which the tests don't have",
    ("ci.md", "yaml"): "for GitHub; test_operating.py reads it",
    ("containers.md", "dockerfile"): "for Docker; test_operating.py reads it",
    ("containers.md", "yaml"): "for Kubernetes; test_operating.py reads it",
    ("nginx.md", "nginx"): "for nginx, which the tests don't install; tried with 1.22",
    ("pgbouncer.md", "ini"): "for PgBouncer, which the tests don't install; tried with 1.18",
    ("moving.md", "sh"): "for better-auth's own database; tried with PostgreSQL 15 and SQLite 3",
    ("scale.md", "nginx"): "for nginx, which the tests don't install; tried with 1.22",
}
DOCS = ROOT / "docs"
PAGES = sorted(
    [path.name for path in ROOT.glob("*.md")]
    + [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
)
WRITTEN = {(page, language) for page in PAGES for language, _ in blocks(page)}


def kinds_run_in(source: str) -> Iterator[Kind]:
    """What the calls of ``examples`` and ``names_of`` in there name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="examples"), args=[page, language]):
                yield ast.literal_eval(page), ast.literal_eval(language)
            case ast.Call(func=ast.Name(id="examples" | "names_of"), args=[page]):
                yield ast.literal_eval(page), "python"


@cache
def kinds_run() -> set[Kind]:
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "pages.py"]
    return {kind for file in files for kind in kinds_run_in(file.read_text())}


def test_every_example_is_run_or_is_for_the_eye() -> None:
    assert sorted(WRITTEN - kinds_run() - set(FOR_THE_EYE)) == []


def test_nothing_is_run_that_is_not_written() -> None:
    assert sorted(kinds_run() - WRITTEN) == []


def test_what_is_for_the_eye_is_written_and_not_run() -> None:
    assert set(FOR_THE_EYE) <= WRITTEN - kinds_run()


def test_every_fence_belongs_to_a_block() -> None:
    for page in PAGES:
        fences = [line for line in text_of(page).splitlines() if line.lstrip().startswith("```")]
        assert len(fences) == 2 * len(blocks(page)), page


def test_a_page_that_is_added_would_be_missed() -> None:
    run = set(kinds_run_in('names_of("keys.md", a=1)\n(x,) = examples("keys.md", "toml")\n'))
    assert run == {("keys.md", "python"), ("keys.md", "toml")}
    assert ("another.md", "python") not in kinds_run()
