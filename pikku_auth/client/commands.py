"""``whoami``, ``logout`` and ``token``; ``login`` has a file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime

from pikku_auth.client.api import AuthServer
from pikku_auth.client.auth import (
    API_KEY_VARIABLE,
    how_to_log_in,
    is_token,
    key_from_environment,
    key_header_of,
)
from pikku_auth.client.exceptions import ClientError, NotLoggedIn, StoreError
from pikku_auth.client.models import Login
from pikku_auth.client.session_info import KnownKey, Who, until, what_is, who_is
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal

Connect = Callable[[str], AuthServer]


def who_am_i(
    url: str | None, *, as_json: bool, store: Store, terminal: Terminal, connect: Connect
) -> None:
    """Say whose credential is used, and where it came from.

    :raises NotLoggedIn: when there is none, or the server refuses it.
    """
    key = key_from_environment()
    if key is not None:
        known = None if url is None else what_is(connect(url), key_header_of(), key)
        _tell_of_the_key(url, known, as_json, terminal)
        return
    login = _stored(url, store)
    if login is None:
        raise NotLoggedIn(f"Not logged in. {how_to_log_in(url or 'URL')}")
    who = _who_is(login, store, connect)
    _tell_who(who, login, as_json, store, terminal)


def log_out(url: str | None, *, store: Store, terminal: Terminal, connect: Connect) -> None:
    """End the login on the server, then forget it, also when the server can't be reached."""
    if os.environ.get(API_KEY_VARIABLE):
        terminal.say(f"{API_KEY_VARIABLE} stays set: only what was stored is logged out.")
    login = _stored(url, store)
    if login is None:
        terminal.say("No login to log out of.")
        return
    try:
        answer = connect(login.base_url).sign_out(_sendable_token(login))
        if not answer.is_success:
            raise answer.failure("Signing out")
    except ClientError as error:
        terminal.say(f"Warning: the server was not told, so the login may live on there. {error}")
    store.forget(login)
    terminal.say(f"✓ Logged out of {login.base_url}")


def _who_is(login: Login, store: Store, connect: Connect) -> Who:
    """Ask the server, and note a new expiry: servers prolong a login that is used.

    :raises NotLoggedIn: when the server refuses it.
    """
    try:
        who = who_is(connect(login.base_url), _sendable_token(login))
    except NotLoggedIn as error:
        raise NotLoggedIn(f"{error} {how_to_log_in(login.base_url)}") from None
    if who.expires_at not in {None, login.expires_at}:
        store.renew(login, who.expires_at)
    return who


def print_token(url: str | None, *, store: Store, terminal: Terminal, connect: Connect) -> None:
    """The bare token, for scripts. The server is asked where the stored expiry has passed.

    :raises NotLoggedIn: when there is none that is still good.
    """
    login = _stored(url, store)
    if login is None and os.environ.get(API_KEY_VARIABLE):
        raise NotLoggedIn(f"{API_KEY_VARIABLE} is a key, not a login: there is no token to print.")
    if login is None:
        raise NotLoggedIn(f"Not logged in. {how_to_log_in(url or 'URL')}")
    token = _sendable_token(login)
    if login.is_expired(datetime.now(UTC)):
        _who_is(login, store, connect)
    terminal.answer(token)


def _stored(url: str | None, store: Store) -> Login | None:
    return store.current() if url is None else store.find(url)


def _sendable_token(login: Login) -> str:
    """The token, expired or not: the server knows best."""
    if not is_token(login.access_token):
        raise StoreError(
            f"What is stored for {login.base_url} is not a token. {how_to_log_in(login.base_url)}"
        )
    return login.access_token


def _tell_of_the_key(
    url: str | None, known: KnownKey | None, as_json: bool, terminal: Terminal
) -> None:
    """A key doesn't say which server it is for, so without ``url`` nobody was asked."""
    if as_json:
        told = {"url": url, "user": known and known.user, "source": API_KEY_VARIABLE}
        terminal.answer(json.dumps({**told, **(known.told if known else {})}))
    elif known is None:
        terminal.answer(
            f"an API key from {API_KEY_VARIABLE} (not checked: name a server with --url)"
        )
    else:
        terminal.answer(f"{known} on {url}, by the API key in {API_KEY_VARIABLE}")


def _tell_who(who: Who, login: Login, as_json: bool, store: Store, terminal: Terminal) -> None:
    expires_at = who.expires_at or login.expires_at
    if as_json:
        found = {"url": login.base_url, "user": who.user, "source": str(store.path)}
        terminal.answer(json.dumps({**found, "expires_at": expires_at}))
        return
    terminal.answer(
        f"{who.name or '(unknown user)'} on {login.base_url}{until(expires_at)},"
        f" by the login in {store.path}"
    )
