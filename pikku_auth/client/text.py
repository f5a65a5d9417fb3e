"""Text that a server wrote, before it goes to a terminal, a clipboard or a browser."""

from __future__ import annotations

import unicodedata

MAX_SHOWN = 4_000
"""Characters of one line in a terminal."""

MAX_ANSWER = 100_000
"""Characters of one line for a program, or of a row of a table."""

MAX_NAME = 200
"""Characters of a name, an address of e-mail, or an id."""

_MAX_USER_CODE = 64
_IN_USER_CODES = set("-._ ")

# Controls, invisible and direction-changing characters, lone surrogates, line separators.
_UNPRINTABLE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_BLANK_LETTERS = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str, most: int = MAX_SHOWN) -> str:
    """``text`` in one line, at most so long, without anything that a terminal would act on."""
    shown = (
        character
        for character in text[: 2 * most]
        if unicodedata.category(character) not in _UNPRINTABLE and character not in _BLANK_LETTERS
    )
    line = "".join(shown)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def is_user_code(text: str) -> bool:
    """Whether ``text`` is a user code that is safe to show and to copy.

    Letters and digits of any script with little between them (RFC 8628, 6.1).
    """
    return (
        len(text) <= _MAX_USER_CODE
        and any(character.isalnum() for character in text)
        and all(character.isalnum() or character in _IN_USER_CODES for character in text)
        and not _BLANK_LETTERS & set(text)
    )
