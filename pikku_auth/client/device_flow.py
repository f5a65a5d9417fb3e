"""The device's half of RFC 8628: ask for codes, then ask until the human has decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pikku_auth.client.api import Answer, AuthServer
from pikku_auth.client.environment import is_token
from pikku_auth.client.exceptions import BadAnswer, BadUrl, LoginDenied, LoginTimedOut, Unreachable
from pikku_auth.client.origins import origin_of
from pikku_auth.client.text import is_user_code

DEFAULT_INTERVAL = 5.0
"""Seconds between polls, where the server names none (RFC 8628, 3.2)."""
SLOW_DOWN = 5.0
"""Seconds more between polls after ``slow_down``, for good (RFC 8628, 3.5)."""
LONGEST_BACKOFF = 60.0
"""Seconds up to which the interval doubles while there is no answer."""
MARGIN = 1.2
"""Some clocks run up to 30 % fast; this keeps them from being told to slow down."""

_LONGEST_ADDRESS = 2_000
_LAST_CALL = 5.0  # seconds that a poll may go on past the deadline
_BUSY = {429, 502, 503, 504}


@dataclass(frozen=True)
class Codes:
    """What ``device/code`` gave. ``deadline`` is on the clock that it was asked by."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval: float
    deadline: float


@dataclass(frozen=True)
class Token:
    """What ``device/token`` gave; ``expires_in`` in seconds, ``scope`` as the server granted it."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in: float | None
    scope: str | None = None


def request_codes(
    server: AuthServer,
    client_id: str,
    scope: str | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Codes:
    """Start a login.

    :raises BadAnswer: when the server refuses, or answers something else.
    """
    started = clock()
    answer = server.device_code(client_id, scope)
    if not answer.is_success:
        raise answer.failure("Asking for a code")
    device_code, user_code = answer.text("device_code"), answer.text("user_code")
    uri, expires_in = answer.text("verification_uri"), answer.number("expires_in")
    if not (device_code and user_code and uri and expires_in):
        raise BadAnswer("The server's answer has no codes in it. Is --auth-path right?")
    complete = answer.text("verification_uri_complete")
    _check_shown(user_code, uri, complete or uri)
    interval = answer.number("interval")
    return Codes(
        device_code=device_code,
        user_code=user_code,
        verification_uri=uri,
        verification_uri_complete=complete,
        interval=DEFAULT_INTERVAL if interval is None else max(1.0, interval),
        deadline=started + expires_in,
    )


def _check_shown(user_code: str, *addresses: str) -> None:
    """Refuse what would harm a terminal, a clipboard or a browser.

    :raises BadAnswer: for a code that nobody could compare, or an address that is no web page.
    """
    if not is_user_code(user_code):
        raise BadAnswer("The server's user code is too long, or not of letters and digits.")
    for address in addresses:
        try:
            is_safe = len(address) <= _LONGEST_ADDRESS and bool(origin_of(address))
        except BadUrl:
            is_safe = False
        if not is_safe:
            raise BadAnswer("The server's answer has an address that can't be opened safely.")


def wait_for_approval(
    server: AuthServer,
    client_id: str,
    codes: Codes,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Token:
    """Poll until the human has decided, or the deadline.

    :raises LoginDenied: when the human said no.
    :raises LoginTimedOut: when the code is over.
    :raises BadAnswer: for an error that waiting won't mend.
    """
    interval, backoff = codes.interval, 0.0
    while True:
        _pause(max(interval * MARGIN, backoff), interval, codes.deadline, clock, sleep)
        seconds = max(_LAST_CALL, codes.deadline - clock())
        answer = _poll(server, client_id, codes.device_code, seconds)
        if answer is None or _is_busy(answer):
            backoff = min(2 * max(interval, backoff), LONGEST_BACKOFF)
            continue
        backoff = 0.0
        if answer.error == "slow_down":
            interval += SLOW_DOWN
        elif answer.error != "authorization_pending":
            return _outcome(answer)


def _pause(
    seconds: float,
    interval: float,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> None:
    """Wait for the next poll: a little earlier than planned rather than past the deadline."""
    left = deadline - clock()
    sleep(max(0.0, min(seconds, left)))
    if left < interval:
        raise LoginTimedOut("The code expired. Run login again.")


def _poll(server: AuthServer, client_id: str, device_code: str, seconds: float) -> Answer | None:
    try:
        return server.device_token(client_id, device_code, seconds=seconds)
    except Unreachable:
        return None


def _is_busy(answer: Answer) -> bool:
    """Whether the server, or something before it, will be better later."""
    return answer.status in _BUSY or (answer.status >= 500 and answer.error is None)


def _outcome(answer: Answer) -> Token:
    if answer.error == "access_denied":
        raise LoginDenied("Login was denied in the browser.")
    if answer.error == "expired_token":
        raise LoginTimedOut("The code expired. Run login again.")
    token, token_type = answer.text("access_token"), answer.text("token_type") or "Bearer"
    if answer.error or not answer.is_success or token is None:
        raise answer.failure("The login")
    if token_type.lower() != "bearer" or not is_token(token):
        raise BadAnswer("The server gave a token of a kind that this client doesn't know.")
    return Token(token, token_type, answer.number("expires_in"), answer.text("scope"))
