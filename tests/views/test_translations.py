"""What the page says in other languages, and that no sentence is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.translation import gettext, override

import pikku_auth

ROOT = Path(pikku_auth.__file__).parent
LANGUAGES = sorted(path.name for path in (ROOT / "locale").iterdir())


def sentences() -> set[str]:
    """What is marked for translation in the templates and in the page, in one line each."""
    templates = "".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    code = (ROOT / "views" / "page.py").read_text()
    found = re.findall(r'{% translate "(.*?)" %}', templates) + re.findall(r'_\("(.*?)"\)', code)
    blocks = re.findall(r"{% blocktranslate.*?%}(.*?){% endblocktranslate %}", templates)
    return {*found, *(re.sub(r"{{ (\w+) }}", r"%(\1)s", block) for block in blocks)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_page_is_translated(language: str) -> None:
    assert len(sentences()) > 40
    with override(language):
        assert [text for text in sentences() if gettext(text) == text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_what_is_filled_in(language: str) -> None:
    blanks = re.compile(r"%\(\w+\)s|</?\w+>")
    with override(language):
        for text in sentences():
            assert sorted(blanks.findall(gettext(text))) == sorted(blanks.findall(text))


@pytest.mark.django_db
def test_the_page_speaks_german(make_user: Any, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    browser = Client()
    browser.force_login(make_user(), "django.contrib.auth.backends.ModelBackend")
    answers = [browser.post("/auth/activate", {"user_code": "BBBB-BBBB"}) for _ in range(6)]
    assert "Diesen Code gibt es nicht." in answers[0].content.decode()
    assert "Warten Sie 10 Minuten." in answers[5].content.decode()
