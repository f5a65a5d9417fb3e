"""Text that a stranger wrote, made fit for people to read.

What can't be seen, or moves what is around it, could make one text pass for another, and forge
lines in a log, a terminal or a page.
"""

from __future__ import annotations

import re
import unicodedata

from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.errors import gettext_noop as _

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


def check_line(text: object, most: int) -> str:
    """Give ``text`` back if it is one line that people can read, of at most ``most`` characters.

    Letters of any script are let in, with the joiners and no-break spaces that some of them need.

    :raises BrokenRule: naming the first character that can't be seen.
    """
    if not isinstance(text, str):
        raise BrokenRule(_("Write a text, not %(type)s."), type=type(text).__name__)
    if len(text) > most:
        raise BrokenRule(
            _("Write at most %(most)d characters: this has %(count)d."), most=most, count=len(text)
        )
    for position, character in enumerate(text):
        if not _is_visible(character, text[position - 1 : position], text[position + 1 :]):
            raise BrokenRule(
                _("Leave out %(name)s: it can't be seen, or it moves what is around it."),
                name=_name_of(character),
            )
    return text


def _is_visible(character: str, before: str, after: str) -> bool:
    if character in _JOINERS:
        return _joins(before, after[:1])
    if _is_variation_selector(character):
        return bool(before) and not before.isascii() and not _is_variation_selector(before)
    return not _is_invisible(character)


def _joins(before: str, after: str) -> bool:
    """Whether a joiner has something to join: no spelling needs one beside ASCII."""
    return bool(before and after) and not before.isascii() and not after.isascii()


def _name_of(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def readable(text: str) -> str:
    """``text`` in one line, without what can't be seen or changes the direction of reading.

    Names in any script stay as they are: the joiners that Persian or Hindi spelling needs are
    kept between letters, and any space becomes a plain one.
    """
    kept: list[str] = []
    for position, character in enumerate(text):
        if character in _JOINERS:
            if _joins("".join(kept[-1:]), text[position + 1 : position + 2]):
                kept.append(character)
        elif unicodedata.category(character) == "Zs":
            kept.append(" ")
        elif not (_is_invisible(character) or _is_variation_selector(character)):
            kept.append(character)
    return "".join(kept)


def _is_invisible(character: str) -> bool:
    return (
        character in _INVISIBLE_LETTERS or unicodedata.category(character) in _INVISIBLE_CATEGORIES
    )


def _is_variation_selector(character: str) -> bool:
    return unicodedata.name(character, "").startswith("VARIATION SELECTOR")
