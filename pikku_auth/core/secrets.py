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
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256, sha512
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

FOREIGN_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
"""What another system may have kept of a secret: its SHA-256 or its SHA-512, in hex."""

_UNCONVERTED = "sha512:"
_SHA256_LENGTH = 64


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


def digest_of(text: object, *, prefix: str) -> str | None:
    """The digest of a well-formed secret, or ``None`` for anything else.

    Never raises, whatever the text is, and hashes nothing else.
    """
    if not (isinstance(text, str) and _form_of(prefix).fullmatch(text)):
        return None
    if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    return sha256(text.encode("ascii")).hexdigest()


def foreign_digests(text: object, *, prefixes: Iterable[str]) -> tuple[str, ...]:
    """What another system may have kept of ``text``: its SHA-256 and its SHA-512, in that order.

    Nothing unless it is printable ASCII without one of our ``prefixes``. Never raises, whatever
    the text is, and hashes nothing longer than :data:`MAX_LENGTH`.
    """
    if not (isinstance(text, str) and _may_be_foreign(text, prefixes)):
        return ()
    secret = text.encode("ascii")
    return sha256(secret).hexdigest(), sha512(secret).hexdigest()


def stored_form(foreign_digest: str) -> str:
    """What is kept of an imported secret as its digest until its first use tells its SHA-256.

    That is a SHA-256 as it is. Of a SHA-512 it is a name for the row, which no text has as its
    digest.
    """
    if len(foreign_digest) == _SHA256_LENGTH:
        return foreign_digest
    return f"{_UNCONVERTED}{foreign_digest}"[:_SHA256_LENGTH]


def is_converted(digest: str) -> bool:
    """Whether ``digest`` is the SHA-256 of a secret, and not what stands for its SHA-512."""
    return not digest.startswith(_UNCONVERTED)


@lru_cache(maxsize=16)
def _form_of(prefix: str) -> re.Pattern[str]:
    """What a secret with that prefix looks like."""
    length = _RANDOM_LENGTH + _CHECKSUM_LENGTH
    return re.compile(rf"{re.escape(prefix)}_[0-9A-Za-z]{{{length}}}", re.ASCII)


def _may_be_foreign(text: str, prefixes: Iterable[str]) -> bool:
    is_ours = any(has_prefix(text, prefix) for prefix in prefixes)
    return not is_ours and len(text) <= MAX_LENGTH and bool(_PRINTABLE.fullmatch(text))


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
