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
from hashlib import sha256
from typing import NoReturn

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BITS = 256
_RANDOM_LENGTH = 43
_CHECKSUM_LENGTH = 6
_START_LENGTH = 8
_BODY = re.compile(rf"[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")
_SHAPE = re.compile(r"(?<![0-9A-Za-z])[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{49}(?![0-9A-Za-z])")
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


def found_in(text: str) -> list[str]:
    """What in ``text``, such as a line of a log, has the form of a secret, whatever its prefix."""
    return _SHAPE.findall(text)


def digest_of(text: str, *, prefix: str, accept_foreign: bool = False) -> str | None:
    """The digest of a well-formed secret, or ``None`` for anything else.

    With ``accept_foreign`` any printable ASCII string without our prefix has a
    digest too: a key imported from another system. Never raises, whatever the
    text is, and hashes nothing longer than :data:`MAX_LENGTH`.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH or not _PRINTABLE.fullmatch(text):
        return None
    if has_prefix(text, prefix):
        if not _is_intact(text, prefix):
            return None
    elif not accept_foreign:
        return None
    return sha256(text.encode("ascii")).hexdigest()


def _is_intact(text: str, prefix: str) -> bool:
    return (
        _BODY.fullmatch(text, len(prefix) + 1) is not None
        and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]
    )


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
