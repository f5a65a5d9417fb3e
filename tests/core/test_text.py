"""What of a stranger's text people get to read."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from pikku_auth.client.text import is_user_code, printable
from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.text import check_line, is_client_id, readable, visible_ascii

INVISIBLE = [
    "\0", "\n", "\x1b", "\x7f", "\x9b", "\xad", "\u034f", "\u061c", "\u115f", "\u17b5", "\u180e",
    "\u200b", "\u200e", "\u2028", "\u202e", "\u2060", "\u2066", "\u2800", "\u3164", "\ufe0f",
    "\ufeff", "\uffa0", "\ud800", "\ue000", "\U000e0041", "\U000e0100", "\U0003fffe",
]  # fmt: skip


@pytest.mark.parametrize("character", INVISIBLE)
def test_what_can_not_be_seen_is_taken_out(character: str) -> None:
    text = f"ada{character}lovelace"
    assert readable(text) == visible_ascii(text) == "adalovelace"
    assert not is_client_id(text)
    assert not is_user_code(text)


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace", "O'Brien-Šmíd", "Άννα", "محمد", "דוד", "山田太郎", "김철수",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "क्\u200dष", "José", "Jose\u0301",
        "☕ machine",
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
    ],
)  # fmt: skip
def test_name_in_any_script_stays_as_it_is(name: str) -> None:
    assert readable(name) == name

    assert check_line(name, 40) == name


@pytest.mark.parametrize("character", INVISIBLE)
def test_line_with_what_can_not_be_seen_is_refused_and_the_character_named(character: str) -> None:
    with pytest.raises(BrokenRule, match=rf"U\+{ord(character):04X}"):
        check_line(f"ada{character}lovelace", 40)


@pytest.mark.parametrize(
    "text", ["Ada\u00a0Lovelace", "12\u202f000", "❤\ufe0f key", "葛\U000e0100城", ""]
)
def test_line_may_have_the_spaces_and_signs_that_people_paste(text: str) -> None:
    assert check_line(text, 40) == text


@pytest.mark.parametrize("text", ["ad\u200cmin", "\u200dم", "م\u200d", "\ufe0f", "❤\ufe0f\ufe0f"])
def test_line_has_no_joiner_without_anything_to_join(text: str) -> None:
    with pytest.raises(BrokenRule, match="can't be seen"):
        check_line(text, 40)


@pytest.mark.parametrize(
    ("text", "said"), [("x" * 41, "at most 40"), (7, "not int"), (b"x", "not bytes")]
)
def test_line_is_a_text_that_fits(text: object, said: str) -> None:
    with pytest.raises(BrokenRule, match=said):
        check_line(text, 40)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("ad\u200cmin", "admin"), ("\u200dم", "م"), ("م\u200d", "م"), ("Ada\u00a0L", "Ada L")],
)
def test_joiner_that_no_spelling_needs_is_taken_out(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_visible_ascii_is_all_that_a_client_id_may_have() -> None:
    for number in range(sys.maxunicode + 1):
        assert is_client_id(chr(number)) == (0x21 <= number <= 0x7E)


@pytest.mark.parametrize("text", ["", " ", " a", "a ", "a  b", "a\tb", "c" * 192])
def test_spaces_that_nobody_sees_name_no_client(text: str) -> None:
    assert not is_client_id(text)


def test_terminal_gets_no_character_that_it_would_act_on() -> None:
    shown = printable("".join(map(chr, range(sys.maxunicode + 1))), most=sys.maxunicode)
    categories = {unicodedata.category(character) for character in shown}
    assert {category[0] for category in categories} == set("LMNPSZ")
    assert not categories & {"Zl", "Zp"}


def test_long_line_is_cut() -> None:
    assert printable("x" * 900_000, 5) == "xxxx…"
    assert printable("xxxxx", 5) == "xxxxx"
