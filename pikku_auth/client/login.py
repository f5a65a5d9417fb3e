"""``pikku-auth login``: talk a human through the approval in a browser, and keep what it gives."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pikku_auth.client import browser, clipboard
from pikku_auth.client.api import AuthServer
from pikku_auth.client.device_flow import Codes, Token, request_codes, wait_for_approval
from pikku_auth.client.environment import API_KEY_VARIABLE, TOKEN_VARIABLE, credential_variable
from pikku_auth.client.exceptions import ClientError, LoginTimedOut
from pikku_auth.client.models import Login, name_of, write_time
from pikku_auth.client.session_info import until, who_is
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal, Waiting

_LAST_CALL = 5.0  # seconds, for somebody who has pressed Ctrl-C


@dataclass(frozen=True)
class Request:
    """What the human asked for. ``seconds`` is how long to wait, at most."""

    client_id: str
    scope: str | None
    may_open: bool
    may_copy: bool
    as_json: bool
    seconds: float | None


def log_in(server: AuthServer, request: Request, store: Store, terminal: Terminal) -> None:
    """Log in: start, show the code, wait, and store the token.

    :raises ClientError: when there is no login in the end; nothing is stored then.
    """
    if (name := credential_variable()) is not None:
        raise ClientError(f"{name} is set, and wins over any login: unset it first, then log in.")
    if os.environ.get("CI") and not (request.as_json or terminal.is_interactive):
        raise ClientError(
            f"There is no human here to approve a login: set {API_KEY_VARIABLE} to a key, or "
            f"{TOKEN_VARIABLE} to the token of a login, instead."
        )
    store.require_writable()
    codes = request_codes(server, request.client_id, request.scope, clock=terminal.clock)
    token = _token(server, request, codes, terminal)
    try:
        login = _login(server, token)
        store.save(login)
    except BaseException:
        with suppress(ClientError):
            server.sign_out(token.access_token, seconds=_LAST_CALL)  # nobody else will ever hold it
        raise
    _tell_the_end(server, request, login, store, terminal)
    if missing := _not_granted(request.scope, token.scope):
        terminal.say(f"Not granted: {', '.join(missing)}.")


def _not_granted(asked: str | None, granted: str | None) -> list[str]:
    """What was asked for in vain, if the server says what it granted (RFC 6749, 5.1)."""
    if asked is None or granted is None:
        return []
    return [scope for scope in asked.split() if scope not in granted.split()]


def _token(server: AuthServer, request: Request, codes: Codes, terminal: Terminal) -> Token:
    limit = codes.deadline
    if request.seconds is not None:
        limit = min(limit, terminal.clock() + request.seconds)
    try:
        limited = replace(codes, deadline=limit)
        waiting = _prompt(server, request, limited, terminal)
        return wait_for_approval(
            server, request.client_id, limited, clock=terminal.clock, sleep=waiting.sleep
        )
    except LoginTimedOut:
        if limit < codes.deadline:
            raise LoginTimedOut("Nobody approved it in time. Run login again.") from None
        raise
    finally:
        terminal.clear()


def _prompt(server: AuthServer, request: Request, codes: Codes, terminal: Terminal) -> Waiting:
    """Say what to do, in the way that fits who reads it."""
    url = codes.verification_uri_complete or codes.verification_uri
    is_ours = all(browser.belongs_to(each, server.origin) for each in (url, codes.verification_uri))
    opens = (
        request.may_open
        and is_ours
        and not request.as_json
        and terminal.is_interactive
        and browser.can_be_seen(os.environ)
    )
    if request.as_json:
        _tell_a_program(codes, terminal)
    elif opens:
        terminal.say(f"First copy your one-time code: {codes.user_code}")
        terminal.say(
            f"Press Enter to open {codes.verification_uri} in your browser"
            " (or open it yourself; Ctrl-C to quit)"
        )
    else:
        terminal.say("To log in, open this address in a browser:")
        terminal.say(url)
        terminal.say("and compare this code:")
        terminal.say(codes.user_code)
    if request.may_copy:
        copied = clipboard.copy(codes.user_code)
        terminal.say("It is in your clipboard." if copied else "It could not be copied.")
    if not (request.as_json or terminal.can_redraw):
        terminal.say("Waiting for approval…")
    if not is_ours:
        terminal.say(f"Take care: this address is not at {server.origin}.")
    return _waiting(url, codes.deadline, opens, terminal)


def _waiting(url: str, deadline: float, opens: bool, terminal: Terminal) -> Waiting:
    opener = browser.Opener(url)

    def on_enter() -> None:
        if opens:
            opener.open()

    def tick() -> None:
        if opener.has_just_failed():
            terminal.say(f"No browser opened. Open it yourself: {url}")

    return Waiting(terminal, deadline, on_enter, tick)


def _tell_a_program(codes: Codes, terminal: Terminal) -> None:
    terminal.answer_json(
        {
            "event": "prompt",
            "verification_uri": codes.verification_uri,
            "verification_uri_complete": codes.verification_uri_complete,
            "user_code": codes.user_code,
            "expires_in": max(0, int(codes.deadline - terminal.clock())),
        }
    )


def _login(server: AuthServer, token: Token) -> Login:
    """What is known of the new login; the server is asked, and need not answer."""
    now = datetime.now(UTC)
    expires_at, user = None, None
    if token.expires_in is not None:
        expires_at = write_time(now + timedelta(seconds=token.expires_in))
    with suppress(ClientError):
        who = who_is(server, token.access_token)
        expires_at, user = who.expires_at or expires_at, who.user
    return Login(
        base_url=server.base_url,
        access_token=token.access_token,
        token_type=token.token_type,
        expires_at=expires_at,
        user=user,
        obtained_at=write_time(now),
    )


def _tell_the_end(
    server: AuthServer, request: Request, login: Login, store: Store, terminal: Terminal
) -> None:
    if request.as_json:
        event = {"event": "logged_in", "url": login.base_url, "user": login.user}
        terminal.answer_json({**event, "expires_at": login.expires_at})
        return
    name = name_of(login.user)
    as_whom = f"as {name}" if name else "(it did not say as whom)"
    terminal.say(
        f"✓ Logged in to {server.base_url} {as_whom}{until(login.expires_at)}."
        f" Saved to {store.path}"
    )
