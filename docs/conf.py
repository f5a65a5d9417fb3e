"""How Sphinx makes a site of these pages: ``make docs``.

The pages are plain Markdown, which GitHub shows as it is. ``index.md`` lists them in four parts,
and the site's navigation is made of that list.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import pikku_auth

HERE = Path(__file__).parent

project = "pikku-auth"
copyright = "the pikku-auth authors"  # noqa: A001  # Sphinx's own name
release = version = pikku_auth.__version__

extensions = ["myst_parser"]
myst_heading_anchors = 4  # the anchors that GitHub makes of headings

html_theme = "furo"
html_title = f"pikku-auth {release}"
html_copy_source = False
html_show_sphinx = False


LISTED = re.compile(r"^- \[([^\]]+)\]\(([\w/-]+)\.md\)", re.MULTILINE)


def navigation_of(index: str) -> str:
    """A toctree for each part of ``index.md``, of the pages that its list links to."""
    parts = re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", index, re.MULTILINE)
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"
        for title, listing in parts
        if (pages := "\n".join(f"{text} <{page}>" for text, page in LISTED.findall(listing)))
    )


def add_navigation(_: Sphinx, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] += navigation_of(source[0])


def copy_images(app: Sphinx, error: Exception | None) -> None:
    """Sphinx doesn't see the images that a page has as HTML."""
    if error is None:
        shutil.copytree(HERE / "images", Path(app.outdir) / "images", dirs_exist_ok=True)


def setup(app: Sphinx) -> None:
    app.add_lexer("crontab", TextLexer)  # of which Pygments knows nothing
    app.connect("source-read", add_navigation)
    app.connect("build-finished", copy_images)
