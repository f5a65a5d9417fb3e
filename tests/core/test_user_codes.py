"""User codes: easy to compare, hard to mistype, and nothing else is taken for one."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.user_codes import (
    ALPHABET,
    LENGTH,
    format_user_code,
    generate_user_code,
    normalise_user_code,
)

codes = st.text(alphabet=ALPHABET, min_size=LENGTH, max_size=LENGTH)


def test_a_code_has_eight_of_twenty_consonants() -> None:
    code = generate_user_code()
    assert len(code) == 8
    assert set(code) <= set("BCDFGHJKLMNPQRSTVWXZ")


def test_a_code_carries_more_than_thirty_four_bits() -> None:
    assert LENGTH * math.log2(len(set(ALPHABET))) > 34.5


@pytest.mark.parametrize("letter", "AEIOUY0123456789")
def test_no_code_spells_a_word_or_looks_like_another(letter: str) -> None:
    assert letter not in ALPHABET


def test_codes_do_not_repeat_and_use_every_letter() -> None:
    made = [generate_user_code() for _ in range(500)]
    assert len(set(made)) == 500
    assert set(Counter("".join(made))) == set(ALPHABET)


def test_people_read_it_in_two_groups() -> None:
    assert format_user_code("WDJBMJHT") == "WDJB-MJHT"


@pytest.mark.parametrize(
    "typed",
    [
        "WDJBMJHT",
        "WDJB-MJHT",
        "wdjb-mjht",
        "wDjB mJhT",
        "  WDJB-MJHT\n",
        "W D J B M J H T",
        "WDJB\tMJHT",
        "WDJB.MJHT.",
        "WDJB_MJHT",
        "WDJB\u2013MJHT",
        "WDJB\u00a0MJHT",
        "\u200bWDJBMJHT",
    ],
)
def test_case_and_punctuation_do_not_matter(typed: str) -> None:
    assert normalise_user_code(typed) == "WDJBMJHT"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-",
        "WDJBMJH",
        "WDJBMJHTT",
        "WDJBMJHA",
        "WDJBMJH0",
        "WDJBMJH\u0422",
        "WDJBMJ\u00df",
        "WDJBMJH\ud800",
        "WDJBMJHT" + " " * 57,
        "B" * 100_000,
    ],
)
def test_nothing_else_is_a_code(typed: str) -> None:
    assert normalise_user_code(typed) is None


@given(codes)
def test_a_code_that_people_read_is_the_code(code: str) -> None:
    assert normalise_user_code(format_user_code(code)) == code
    assert normalise_user_code(format_user_code(code).lower()) == code


@given(st.text())
def test_any_text_is_a_canonical_code_or_none(text: str) -> None:
    code = normalise_user_code(text)
    assert code is None or (len(code) == LENGTH and set(code) <= set(ALPHABET))


def test_a_new_code_is_canonical() -> None:
    code = generate_user_code()
    assert normalise_user_code(code) == code
