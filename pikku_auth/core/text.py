"""Text that a stranger wrote, made fit for people to read.

What can't be seen, or moves what is around it, could make one text pass for another, and forge
lines in a log, a terminal or a page.
"""

from __future__ import annotations

import re
import unicodedata

MAX_CLIENT_ID = 191

_CLIENT_ID = re.compile(r"[!-~]+(?: [!-~]+)*")
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_INVISIBLE_LETTERS = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINERS = {"\u200c", "\u200d"}


def is_client_id(text: str) -> bool:
    """Whether ``text`` may name a client: ASCII that can be seen (RFC 6749, A.1).

    Spaces only between words, and one at a time.
    """
    return len(text) <= MAX_CLIENT_ID and _CLIENT_ID.fullmatch(text) is not None


def visible_ascii(text: str) -> str:
    """The printable ASCII of ``text``: all that a header such as ``User-Agent`` should have."""
    return "".join(character for character in text if " " <= character <= "~")


def readable(text: str) -> str:
    """``text`` in one line, without what can't be seen or changes the direction of reading.

    Names in any script stay as they are: the joiners that Persian or Hindi spelling needs are
    kept between letters, and any space becomes a plain one.
    """
    kept: list[str] = []
    for position, character in enumerate(text):
        if character in _JOINERS:
            after = text[position + 1 : position + 2]
            if kept and not kept[-1].isascii() and after and not after.isascii():
                kept.append(character)
        elif unicodedata.category(character) == "Zs":
            kept.append(" ")
        elif not _is_invisible(character):
            kept.append(character)
    return "".join(kept)


def _is_invisible(character: str) -> bool:
    return (
        character in _INVISIBLE_LETTERS
        or unicodedata.category(character) in _INVISIBLE_CATEGORIES
        or unicodedata.name(character, "").startswith("VARIATION SELECTOR")
    )
