"""``pikku-auth login | whoami | logout | token``, also ``python -m pikku_auth.client``."""

from __future__ import annotations

import argparse
import math
import os
import sys
import traceback
from collections.abc import Sequence

from pikku_auth import __version__
from pikku_auth.client.api import MAX_SECONDS, AuthServer
from pikku_auth.client.commands import log_out, print_token, who_am_i
from pikku_auth.client.exceptions import BadUrl, ClientError
from pikku_auth.client.login import Request, log_in
from pikku_auth.client.origins import normalise_base_url
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal

URL_VARIABLE = "PIKKU_URL"

_EPILOG = """\
exit status:
  0    it worked
  1    an error; a login that was stored is still stored
  2    wrong usage
  3    the login was denied, or nobody approved it in time
  4    not logged in, or the server refused the credential
  130  interrupted by Ctrl-C
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = _parser()
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
    except KeyboardInterrupt:
        terminal.say("")
        terminal.say("Cancelled.")
        return 130
    except OSError as error:  # of stdout: a pipe without a reader, a disk that is full
        # Python would complain once more when it flushes stdout on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        terminal.say(f"pikku-auth: {error.strerror}.")
        return 1
    return 0


def _run(options: argparse.Namespace, terminal: Terminal) -> None:
    store = Store(report=terminal.say)
    url = options.url or os.environ.get(URL_VARIABLE) or None
    url = None if url is None else normalise_base_url(url)

    def connect(base_url: str) -> AuthServer:
        return AuthServer(base_url, options.auth_path, seconds=options.timeout or MAX_SECONDS)

    if options.command == "login":
        log_in(connect(url or _current_url(store)), _request(options), store, terminal)
    elif options.command == "whoami":
        who_am_i(url, as_json=options.json, store=store, terminal=terminal, connect=connect)
    elif options.command == "logout":
        log_out(url, store=store, terminal=terminal, connect=connect)
    else:
        print_token(url, store=store, terminal=terminal, connect=connect)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pikku-auth",
        description="Log in to a server from a terminal, by approving it in a browser.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    login = _add(commands, "login", "log in, and keep the login for other programs")
    login.add_argument(
        "--client-id", "--clientId", default="pikku-cli", metavar="ID",
        help="what the human is told is asking; default: pikku-cli",
    )  # fmt: skip
    login.add_argument(
        "--scope", action="append", default=[], help="what the login may do; repeatable"
    )
    login.add_argument(
        "--no-browser", "--no-open", dest="browser", action="store_false",
        help="open no browser, only print the address",
    )  # fmt: skip
    login.add_argument("--copy", action="store_true", help="put the code into the clipboard")
    whoami = _add(commands, "whoami", "say whose credential is used, and where it came from")
    _add(commands, "logout", "end the login on the server, and forget it")
    _add(commands, "token", "print the bare token, for scripts")
    for command in (login, whoami):
        command.add_argument(
            "--json", action="store_true", help="JSON on stdout, one object a line"
        )
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "-u",
        "--url",
        help=f"the server; default: {URL_VARIABLE}, else the last login",
    )
    command.add_argument(
        "--auth-path", "--authPath", default="/auth", metavar="PATH", help="default: /auth"
    )
    command.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="give up after so many seconds"
    )
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write a number of seconds") from None
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError("it has to be more than 0")
    return number
