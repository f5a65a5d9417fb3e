"""The secret string of a key: ``<prefix>_<43 base62><6 base62 CRC32>``.

The 43 characters carry 256 random bits, so that one fast SHA-256 without salt is
enough at rest (OWASP ASVS 5, 11.4). The checksum catches a mistyped or foreign
string without a look-up and lets secret scanners match without false alarms; it
is public arithmetic and no defence.

The text of a secret is looked at only here. Everything after has its digest.
"""

from __future__ import annotations

import re
import secrets
import zlib
from functools import lru_cache
from hashlib import sha256
from typing import NoReturn

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 256
_RANDOM_LENGTH = 43
_CHECKSUM_LENGTH = 6
_START_LENGTH = 8
_SHAPE = re.compile(r"(?<![0-9A-Za-z])[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{49}(?![0-9A-Za-z])")
_BEGUN = re.compile(rf"([a-z][a-z0-9]{{1,15}}_[0-9A-Za-z]{{{_START_LENGTH}}})[0-9A-Za-z]*")
_PRINTABLE = re.compile(r"[!-~]+")

MAX_LENGTH = 128
"""Characters. Nothing longer is hashed, looked up or logged."""

PREFIX = re.compile(r"[a-z][a-z0-9]{1,15}")
"""What a prefix may look like."""


DIGEST = re.compile(r"[0-9a-f]{64}")
"""What a digest looks like."""


class Secret:
    """A secret that shows itself only to a caller who asks by name.

    ``repr``, ``str`` and ``format`` give its first characters, so that a traceback,
    a log line or an error report with local variables can't leak it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that hands it to its owner."""
        return self._text

    @property
    def digest(self) -> str:
        """SHA-256 in hex: what is stored and looked up."""
        return sha256(self._text.encode("ascii")).hexdigest()

    @property
    def preview(self) -> str:
        """The first characters, for people to tell keys apart by."""
        prefix, mark, body = self._text.partition("_")
        return f"{prefix}{mark}{body[:_START_LENGTH]}" if mark else ""

    def __repr__(self) -> str:
        return f"<Secret {self.preview}…>"

    def __str__(self) -> str:
        return f"{self.preview}…"

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret can't be pickled: pass its digest.")


def generate(prefix: str) -> Secret:
    """Make a new secret of 256 random bits from the operating system."""
    number = secrets.randbits(_RANDOM_BITS)
    body = f"{prefix}_{_base62(number, _RANDOM_LENGTH)}"
    return Secret(body + _checksum(body))


def has_prefix(text: str, prefix: str) -> bool:
    """Whether ``text`` claims to be one of ours, well-formed or not."""
    return text.startswith(f"{prefix}_")


def start_in(text: str) -> str:
    """What the preview of a secret begins with if the secret begins with ``text``."""
    text = text.rstrip("…")  # lists write it behind a preview
    begun = _BEGUN.fullmatch(text)
    return begun[1] if begun else text


def found_in(text: str) -> list[str]:
    """What in ``text``, such as a line of a log, has the form of a secret, whatever its prefix."""
    return _SHAPE.findall(text)


def digest_of(text: object, *, prefix: str, accept_foreign: bool = False) -> str | None:
    """The digest of a well-formed secret, or ``None`` for anything else.

    With ``accept_foreign`` any printable ASCII string without our prefix has a
    digest too: a key imported from another system. Never raises, whatever the
    text is, and hashes nothing longer than :data:`MAX_LENGTH`.
    """
    if not isinstance(text, str):
        return None
    if _form_of(prefix).fullmatch(text):
        if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
            return None
    elif not (accept_foreign and _may_be_foreign(text, prefix)):
        return None
    return sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=16)
def _form_of(prefix: str) -> re.Pattern[str]:
    """What a secret with that prefix looks like."""
    length = _RANDOM_LENGTH + _CHECKSUM_LENGTH
    return re.compile(rf"{re.escape(prefix)}_[0-9A-Za-z]{{{length}}}", re.ASCII)


def _may_be_foreign(text: str, prefix: str) -> bool:
    is_short = len(text) <= MAX_LENGTH
    return is_short and not has_prefix(text, prefix) and bool(_PRINTABLE.fullmatch(text))


def _checksum(body: str) -> str:
    """CRC32 in six digits, two at a time."""
    rest, last = divmod(zlib.crc32(body.encode("ascii")), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
