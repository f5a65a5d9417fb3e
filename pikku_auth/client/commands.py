"""``whoami``, ``logout`` and ``token``; the other commands have files of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pikku_auth.client.api import AuthServer
from pikku_auth.client.auth import how_to_log_in
from pikku_auth.client.environment import (
    API_KEY_VARIABLE,
    TOKEN_VARIABLE,
    credential_variable,
    is_token,
    key_from_environment,
    key_header_of,
    token_from_environment,
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
    token = token_from_environment()
    if token is not None:
        found = None if url is None else _whose_token(connect(url), token)
        _tell_of_the_token(url, found, as_json, terminal)
        return
    login = _stored(url, store)
    if login is None:
        raise NotLoggedIn(f"Not logged in. {how_to_log_in(url or 'URL')}")
    who = ask_who(login, store, connect)
    expires_at = who.expires_at or login.expires_at
    source = str(store.path)
    if as_json:
        _tell_as_json(login.base_url, who, expires_at, source, terminal)
    else:
        terminal.answer(f"{_described(who, login.base_url, expires_at)}, by the login in {source}")


def log_out(
    url: str | None, *, of_all: bool, store: Store, terminal: Terminal, connect: Connect
) -> None:
    """End the login, or each login that is stored, on its server, then forget it.

    It is forgotten also when the server can't be reached.
    """
    if (name := credential_variable()) is not None:
        terminal.say(f"{name} stays set: only what was stored is logged out.")
    logins = store.logins() if of_all else list(filter(None, [_stored(url, store)]))
    if not logins:
        terminal.say("No login to log out of.")
    for login in logins:
        _end(login, store, terminal, connect)


def _end(login: Login, store: Store, terminal: Terminal, connect: Connect) -> None:
    try:
        answer = connect(login.base_url).sign_out(_sendable_token(login))
        if not answer.is_success:
            raise answer.failure("Signing out")
    except ClientError as error:
        terminal.say(f"Warning: the server was not told, so the login may live on there. {error}")
    store.forget(login)
    terminal.say(f"✓ Logged out of {login.base_url}")


def ask_who(login: Login, store: Store, connect: Connect) -> Who:
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


def _whose_token(server: AuthServer, token: str) -> Who:
    """:raises NotLoggedIn: when the server refuses the token of the environment."""
    try:
        return who_is(server, token)
    except NotLoggedIn as error:
        raise NotLoggedIn(f"{error} Set {TOKEN_VARIABLE} to the token of a live login.") from None


def print_token(url: str | None, *, store: Store, terminal: Terminal, connect: Connect) -> None:
    """The bare token, for scripts: of the environment, else of the stored login.

    The server is asked where the stored expiry has passed.

    :raises NotLoggedIn: when there is none that is still good.
    """
    given = token_from_environment()
    if given is not None:
        terminal.answer(given)
        return
    login = _stored(url, store)
    if login is None and credential_variable() is not None:
        raise NotLoggedIn(f"{API_KEY_VARIABLE} is a key, not a login: there is no token to print.")
    if login is None:
        raise NotLoggedIn(f"Not logged in. {how_to_log_in(url or 'URL')}")
    token = _sendable_token(login)
    if login.is_expired(datetime.now(UTC)):
        ask_who(login, store, connect)
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
        terminal.answer_json({**told, **(known.told if known else {})})
    elif known is None:
        terminal.answer(
            f"an API key from {API_KEY_VARIABLE} (not checked: name a server with --url)"
        )
    else:
        terminal.answer(f"{known} on {url}, by the API key in {API_KEY_VARIABLE}")


def _tell_of_the_token(url: str | None, who: Who | None, as_json: bool, terminal: Terminal) -> None:
    """A token of the environment doesn't say which server it is for, either."""
    if as_json:
        _tell_as_json(url, who, who.expires_at if who else None, TOKEN_VARIABLE, terminal)
    elif url is None or who is None:
        terminal.answer(
            f"a login token from {TOKEN_VARIABLE} (not checked: name a server with --url)"
        )
    else:
        terminal.answer(f"{_described(who, url, who.expires_at)}, by the token in {TOKEN_VARIABLE}")


def _tell_as_json(
    url: str | None, who: Who | None, expires_at: str | None, source: str, terminal: Terminal
) -> None:
    found = {"url": url, "user": who and who.user, "source": source}
    terminal.answer_json({**found, "expires_at": expires_at})


def _described(who: Who, url: str, expires_at: str | None) -> str:
    return f"{who.name or '(unknown user)'} on {url}{until(expires_at)}"
