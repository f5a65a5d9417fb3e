"""What docs/glossary.md defines, and in which order."""

from __future__ import annotations

import re

from tests.docs.pages import text_of


def test_words_are_in_the_order_of_the_alphabet_and_defined_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", text_of("glossary.md"), re.MULTILINE)
    assert len(words) > 20
    assert words == sorted(set(words), key=str.lower)
