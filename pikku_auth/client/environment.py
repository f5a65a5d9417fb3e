"""What the environment says: a key, a token, the header of keys, and the server."""

from __future__ import annotations

import os
import re

from pikku_auth.client.exceptions import BadKey, BadToken, ClientError

API_KEY_VARIABLE = "PIKKU_API_KEY"
TOKEN_VARIABLE = "PIKKU_TOKEN"  # noqa: S105  # the name of a variable
KEY_HEADER_VARIABLE = "PIKKU_KEY_HEADER"
URL_VARIABLE = "PIKKU_URL"
KEY_HEADER = "x-api-key"

# requests repeats a header value that it refuses, so it is never given such a one.
_VISIBLE = re.compile(r"[!-~]+")
_LONGEST_KEY = 128
_LONGEST_TOKEN = 4096
_HEADER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_NO_KEY_HEADERS = {"authorization", "content-length", "content-type", "cookie", "host"}


def credential_variable() -> str | None:
    """The variable whose credential wins over what is stored, if one is set."""
    names = (API_KEY_VARIABLE, TOKEN_VARIABLE)
    return next((name for name in names if os.environ.get(name)), None)


def key_from_environment() -> str | None:
    """``PIKKU_API_KEY``; empty counts as absent.

    :raises BadKey: when it can't be a key.
    """
    return _from_environment(API_KEY_VARIABLE, "key", _LONGEST_KEY, BadKey)


def token_from_environment() -> str | None:
    """``PIKKU_TOKEN``, the token of a login; empty counts as absent.

    :raises BadToken: when it can't be a token.
    """
    return _from_environment(TOKEN_VARIABLE, "token", _LONGEST_TOKEN, BadToken)


def what_is_wrong_with_key(key: str) -> str | None:
    """Why ``key``, which is not empty, can't be one; ``None`` if it can."""
    return _what_is_wrong_with(key, "key", _LONGEST_KEY)


def is_token(text: str) -> bool:
    """Whether ``text`` may stand in a header as a token."""
    return len(text) <= _LONGEST_TOKEN and _VISIBLE.fullmatch(text) is not None


def key_header_of(given: str | None = None) -> str:
    """The name of the header of keys: ``given``, else of the environment, else the default.

    :raises BadKey: when it can't be one.
    """
    header = given or os.environ.get(KEY_HEADER_VARIABLE) or KEY_HEADER
    if not _HEADER.fullmatch(header) or header.lower() in _NO_KEY_HEADERS:
        raise BadKey(
            f"{header!r} can't be the header of an API key: write the server's KEY_HEADER, as the "
            f"argument key_header or in {KEY_HEADER_VARIABLE}."
        )
    return header


def _from_environment(name: str, kind: str, most: int, error: type[ClientError]) -> str | None:
    text = os.environ.get(name)
    if text and (wrong := _what_is_wrong_with(text, kind, most)):
        raise error(f"{name} is not a {kind}: {wrong}.")
    return text or None


def _what_is_wrong_with(text: str, kind: str, most: int) -> str | None:
    if text.strip()[:7].lower() == "bearer ":
        return f"it begins with “Bearer”. Write the {kind} alone"
    if text[-1] in "\r\n":
        return f"it ends with a line end. Write the {kind} alone"
    if text[0] in "\"'" or text[-1] in "\"'":
        return f"it is in quotes. Write the {kind} alone"
    if len(text) > most or not _VISIBLE.fullmatch(text):
        return f"a {kind} has up to {most} printable ASCII characters, and no space or line end"
    return None
