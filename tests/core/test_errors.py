"""What breaks a rule is a sentence with blanks: English here, and anything elsewhere."""

from __future__ import annotations

import pickle

from pikku_auth.core.errors import BrokenRule, gettext_noop

TOO_BIG = BrokenRule("%(given)r is more than %(most)d.", given="9%", most=5)


def test_it_reads_as_english() -> None:
    assert str(TOO_BIG) == "'9%' is more than 5."


def test_who_translates_it_has_the_sentence_and_what_to_fill_in() -> None:
    assert TOO_BIG.template == "%(given)r is more than %(most)d."
    assert TOO_BIG.values == {"given": "9%", "most": 5}


def test_it_crosses_processes() -> None:
    assert str(pickle.loads(pickle.dumps(TOO_BIG))) == str(TOO_BIG)  # noqa: S301


def test_marking_a_sentence_leaves_it_as_it_is() -> None:
    assert gettext_noop("A sentence.") == "A sentence."
