"""The command ``pikku-auth``, also ``python -m pikku_auth.client``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from pikku_auth.client.api import MAX_SECONDS, AuthServer
from pikku_auth.client.commands import log_out, print_token, who_am_i
from pikku_auth.client.environment import URL_VARIABLE, credential_variable
from pikku_auth.client.exceptions import BadUrl, ClientError, ReaderGone, WrongUsage
from pikku_auth.client.key_commands import manage_keys
from pikku_auth.client.keys import Keys
from pikku_auth.client.login import Request, log_in
from pikku_auth.client.options import parser as options_parser
from pikku_auth.client.origins import normalise_base_url
from pikku_auth.client.status import show_status
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = options_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    terminal = Terminal()
    try:
        _run(options, terminal)
    except ClientError as error:
        if options.debug:
            traceback.print_exc()
        terminal.say(f"pikku-auth: {error}")
        return error.exit_code
    except ReaderGone as gone:
        terminal.discard_stdout()
        return gone.exit_code
    except KeyboardInterrupt:
        terminal.say("")
        terminal.say("Cancelled.")
        return 130
    except OSError as error:  # of stdout: a pipe without a reader, a disk that is full
        terminal.discard_stdout()
        terminal.say(f"pikku-auth: {error.strerror}.")
        return 1
    return 0


def _run(options: argparse.Namespace, terminal: Terminal) -> None:
    store = Store(report=terminal.say)

    def connect(base_url: str) -> AuthServer:
        return AuthServer(base_url, options.auth_path, seconds=options.timeout or MAX_SECONDS)

    if options.command == "status":
        show_status(as_json=options.json, store=store, terminal=terminal, connect=connect)
        return
    url = _named_url(options)
    if options.command == "login":
        log_in(connect(url or _current_url(store)), _request(options), store, terminal)
    elif options.command == "whoami":
        who_am_i(url, as_json=options.json, store=store, terminal=terminal, connect=connect)
    elif options.command == "logout":
        log_out(url, of_all=options.all, store=store, terminal=terminal, connect=connect)
    elif options.command == "token":
        print_token(url, store=store, terminal=terminal, connect=connect)
    else:
        url = url or _url_for_keys(store)
        seconds = options.timeout or MAX_SECONDS
        keys = Keys(url, auth_path=options.auth_path, timeout=seconds, store=store)
        manage_keys(options, keys, terminal)


def _named_url(options: argparse.Namespace) -> str | None:
    """The server that is named, by an option or by the environment."""
    if options.command == "logout" and options.all:
        if options.url:
            raise WrongUsage("--all is every server: leave out --url.")
        return None
    url = options.url or os.environ.get(URL_VARIABLE)
    return normalise_base_url(url) if url else None


def _url_for_keys(store: Store) -> str:
    """The last login's server; a credential of the environment may be for another."""
    if (name := credential_variable()) is not None:
        raise BadUrl(
            f"Which server is {name} for? Write --url https://app.example.com, or set "
            f"{URL_VARIABLE}."
        )
    return _current_url(store)


def _current_url(store: Store) -> str:
    login = store.current()
    if login is None:
        raise BadUrl(f"Which server? Write --url https://app.example.com, or set {URL_VARIABLE}.")
    return login.base_url


def _request(options: argparse.Namespace) -> Request:
    return Request(
        client_id=options.client_id,
        scope=" ".join(options.scope) or None,
        may_open=options.browser,
        may_copy=options.copy,
        as_json=options.json,
        seconds=options.timeout,
    )
