"""What the documentation has a reader install and start exists."""

from __future__ import annotations

import re
from configparser import ConfigParser
from itertools import chain

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from pikku_auth.models import APIKey, ServiceUser
from tests.docs.pages import ROOT, examples, text_of
from tests.docs.test_census import PAGES


def extras() -> set[str]:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    return set(config["options.extras_require"])


def test_each_extra_that_a_page_names_exists() -> None:
    pages = "\n".join(map(text_of, PAGES))
    named = re.findall(r"pip install[^\n]*?(?:pikku-auth|\.)\[([\w,]+)\]", pages)
    assert named
    assert set(chain.from_iterable(names.split(",") for names in named)) <= extras()


def test_every_block_that_installs_names_an_extra_of_ours() -> None:
    blocks = [*examples("ninja.md", "bash"), *examples("websockets.md", "bash")]
    assert blocks
    for block in blocks:
        assert re.fullmatch(r'pip install "pikku-auth\[[\w,]+\]"\n', block)


def test_the_readme_tells_of_each_extra_that_is_for_hosts() -> None:
    for_us = {"bench", "dev", "docs", "mariadb", "test"}
    install = text_of("README.md").partition("## Install\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`(\w+)`", install))
    assert extras() - for_us <= told


class TestTheBenchmarks:
    """They need packages of others, so the nightly run has them."""

    def test_nightly_run_has_what_a_reader_is_told_to_run(self) -> None:
        (block,) = examples("performance.md", "sh")
        modules = re.findall(r"python -m (\S+)", block)
        assert modules
        matrix = (ROOT / "setup.cfg").read_text()
        for module in modules:
            assert f"python -m {module}" in matrix

    def test_the_columns_are_as_many_as_it_says(self) -> None:
        ours = sum(len(model._meta.concrete_fields) for model in (APIKey, ServiceUser, User))
        theirs = sum(len(model._meta.concrete_fields) for model in (Token, User))
        page = " ".join(text_of("performance.md").split())
        assert f"we read three tables with {ours} columns" in page
        assert f"reads two with {theirs}." in page
