"""Text that somebody else wrote, made fit for a terminal."""

from __future__ import annotations

import unicodedata

# Controls, invisible and direction-changing characters, lone surrogates, line separators.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """``text`` in one line, without anything that a terminal would act on."""
    return "".join(
        character for character in text if unicodedata.category(character) not in _UNPRINTABLE
    )
