"""The site that ``make docs`` builds: each page has its place, and each link leads somewhere.

Sphinx itself runs in CI, where a warning is an error. These tests take a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import BLOCK, ROOT, text_of
from tests.docs.test_census import PAGES

DOCS = ROOT / "docs"
PARTS = ["Tutorial", "How-to", "Reference", "Explanation"]
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def prose_of(page: str) -> str:
    return BLOCK.sub("", text_of(page))


def anchors_of(page: str) -> set[str]:
    """The anchors that GitHub and MyST make of the headings of ``page``."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def links_of(page: str) -> Iterator[str]:
    for link, image in LINK.findall(prose_of(page)):
        yield link or image


def place_of(page: str) -> Path:
    return next(path for path in (DOCS / page, ROOT / page) if path.is_file())


def problem_of(link: str, page: str) -> str | None:
    """What is wrong with a link of ``page``, if anything is."""
    if re.match(r"\w+:", link):
        return None
    path, _, anchor = link.partition("#")
    target = (place_of(page).parent / path).resolve() if path else place_of(page)
    if not target.exists():
        return f"{page}: {link} leads nowhere"
    folder = DOCS if target.is_relative_to(DOCS) else ROOT
    if anchor and anchor not in anchors_of(str(target.relative_to(folder))):
        return f"{page}: {link} names no heading"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert [text for link in links_of(page) if (text := problem_of(link, page))] == []


def test_dead_link_and_dead_anchor_are_found() -> None:
    assert problem_of("nowhere.md", "keys.md") == "keys.md: nowhere.md leads nowhere"
    assert problem_of("limits.md#none", "keys.md") == "keys.md: limits.md#none names no heading"
    assert problem_of("#the-secret", "keys.md") is None


def pages_by_part() -> dict[str, list[str]]:
    _, *parts = re.split(r"^## (.+)$", text_of("index.md"), flags=re.MULTILINE)
    listed = re.compile(r"^- \[[^\]]+\]\(([\w/-]+\.md)\)", re.MULTILINE)
    return {
        title: listed.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_index_has_four_parts() -> None:
    assert list(pages_by_part()) == PARTS


def test_each_page_is_in_one_part_of_the_index() -> None:
    listed = Counter(page for pages in pages_by_part().values() for page in pages)
    of_the_site = [page for page in PAGES if (DOCS / page).is_file() and page != "index.md"]
    assert sorted(listed.elements()) == sorted(of_the_site)


def test_no_page_of_the_site_leads_out_of_docs_by_a_path() -> None:
    """Sphinx would not find it."""
    pages = [page for page in PAGES if (DOCS / page).is_file()]
    assert [(page, link) for page in pages for link in links_of(page) if "../../" in link] == []
    at_the_top = [page for page in pages if "/" not in page]
    assert [(page, link) for page in at_the_top for link in links_of(page) if "../" in link] == []


def test_every_page_begins_with_its_title() -> None:
    assert [page for page in PAGES if not text_of(page).startswith(("# ", "---\n"))] == []


def test_ci_builds_the_site() -> None:
    matrix = (ROOT / "setup.cfg").read_text()
    assert "commands = make docs VENV={env_dir}" in matrix
    assert "cell docs" in (ROOT / ".ci" / "run").read_text()
    assert " -W " in (ROOT / "Makefile").read_text()
