"""What a server's refusal means for who manages keys, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pikku_auth.client.api import Answer, AuthServer
from pikku_auth.client.auth import BEARER_HEADER, Credential, how_to_log_in
from pikku_auth.client.environment import API_KEY_VARIABLE, TOKEN_VARIABLE
from pikku_auth.client.exceptions import (
    ClientError,
    KeyNotFound,
    KeyRefused,
    LoginExpired,
    NotAllowed,
    NotLoggedIn,
)

_NOT_ALLOWED = {"INSUFFICIENT_API_KEY_PERMISSIONS", "NETWORK_NOT_ALLOWED"}
_REASONS = {
    "USER_NOT_MEMBER_OF_ORGANIZATION": "There is no such service user whose keys you manage",
}
"""Where the words of better-auth's contract would not help."""
_CONTRACT = "You do not have permission to perform this action on organization API keys."
"""What it begins with; what is lacking comes after it."""
_UNAUTHORIZED = {"UNAUTHORIZED", "UNAUTHORIZED_SESSION"}
_SCOPE = re.compile(r'scope="(auth:[a-z_*]+)')


@dataclass(frozen=True)
class Act:
    """An endpoint: what it does, in words, and the scope that it demands."""

    what: str
    method: str
    path: str
    scope: str


def refusal(answer: Answer, act: Act, credential: Credential, server: AuthServer) -> ClientError:
    """The error that an answer without success is."""
    if answer.status == 401:
        return _unknown(answer, credential, server)
    if answer.code is None:
        return answer.failure(act.what)
    said = answer.reason.removeprefix(_CONTRACT).strip()
    reason = _REASONS.get(answer.code) or said or answer.code
    told = _sentence(f"{act.what} was refused: {reason}")
    if answer.status == 404:
        return KeyNotFound(f"{_sentence(reason)} It may have been revoked.", answer.code)
    if answer.code in _NOT_ALLOWED:
        hint = _how_to_get(act, answer, credential, server)
        return NotAllowed(f"{told}{hint}", answer.code)
    if answer.retry_after is not None:
        told = f"{told} Try again in {answer.retry_after:.0f} s."
    return KeyRefused(told, answer.code, answer.text("field"), answer.retry_after)


def _unknown(answer: Answer, credential: Credential, server: AuthServer) -> NotLoggedIn:
    if credential.source == API_KEY_VARIABLE:
        whose, remedy = f"the key in {API_KEY_VARIABLE}", "Set it to a live key."
    elif credential.source == TOKEN_VARIABLE:
        whose, remedy = f"the token in {TOKEN_VARIABLE}", "Set it to the token of a live login."
    else:
        whose, remedy = f"the login in {credential.source}", how_to_log_in(server.base_url)
    kind = NotLoggedIn if credential.over_at is None else LoginExpired
    says_more = answer.reason and answer.code not in _UNAUTHORIZED
    reason = f" {_sentence(answer.reason)}" if says_more else ""
    return kind(f"{server.origin} refuses {whose}.{reason} {remedy}")


def _how_to_get(act: Act, answer: Answer, credential: Credential, server: AuthServer) -> str:
    """What to do for the scope that is missing; nothing where it is the human's permission."""
    demanded = answer.headers.get("WWW-Authenticate")
    if demanded is None:
        return ""
    found = _SCOPE.search(demanded)
    scope = found[1] if found else act.scope
    if credential.source == TOKEN_VARIABLE:
        return f" Set {TOKEN_VARIABLE} to the token of a login with the scope {scope}."
    if credential.header == BEARER_HEADER:
        return f" Log in again: pikku-auth login --url {server.base_url} --scope {scope}"
    return f" It takes a key with the scope {scope}, or a login."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
