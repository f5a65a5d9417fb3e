"""User codes: what a person compares, and may have to type (RFC 8628, 6.1).

Eight of twenty consonants: no vowels, so no words; nothing that looks like another;
34.6 bits, which is little, so guessing is throttled and the code soon over.
"""

from __future__ import annotations

import secrets

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
_GROUP = 4


def generate_user_code() -> str:
    """A new code in its canonical form: no dash, upper case."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def normalise_user_code(text: str) -> str | None:
    """The canonical form of what somebody typed, or ``None`` if it can't be a code.

    Case, dashes, spaces and other punctuation don't matter.
    """
    if len(text) > 64:
        return None
    code = "".join(letter for letter in text if letter.isascii() and letter.isalnum()).upper()
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def format_user_code(code: str) -> str:
    """A canonical code as people read it: ``WDJB-MJHT``."""
    return f"{code[:_GROUP]}-{code[_GROUP:]}"
