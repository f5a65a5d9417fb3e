"""What may be typed after ``pikku-auth``."""

from __future__ import annotations

import argparse
import math
from typing import Any

from pikku_auth import __version__
from pikku_auth.client import key_options
from pikku_auth.client.environment import URL_VARIABLE

_EPILOG = """\
exit status:
  0    it worked
  1    an error; a login that was stored is still stored
  2    wrong usage
  3    the login was denied, or nobody approved it in time; a key could not be handed over
  4    not logged in, or the server refused the credential
  130  interrupted by Ctrl-C
  141  whoever read the list of keys has left
"""


def parser() -> argparse.ArgumentParser:
    """Every command, with its options."""
    made = argparse.ArgumentParser(
        prog="pikku-auth",
        description="Log in to a server from a terminal, and manage its API keys.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
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
    status = _add(
        commands, "status", "ask each server with a stored login who you are", has_url=False
    )
    logout = _add(commands, "logout", "end the login on the server, and forget it")
    logout.add_argument("--all", action="store_true", help="end every login that is stored")
    _add(commands, "token", "print the bare token, for scripts")
    for command in (login, whoami, status):
        command.add_argument(
            "--json", action="store_true", help="JSON on stdout, one object a line"
        )
    _add_keys(commands)
    return made


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "mint, list, show, rotate and revoke API keys"
    keys = commands.add_parser("keys", help=text, **_wording(text))
    acts = keys.add_subparsers(dest="act", metavar="COMMAND", required=True)
    for name, (text, add_options) in key_options.ACTS.items():
        add_options(_add(acts, name, text))


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    has_url: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, **_wording(text))
    if has_url:
        command.add_argument(
            "-u", "--url", help=f"the server; default: {URL_VARIABLE}, else the last login"
        )
    command.add_argument(
        "--auth-path", "--authPath", default="/auth", metavar="PATH", help="default: /auth"
    )
    command.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="give up after so many seconds"
    )
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


def _wording(text: str) -> dict[str, Any]:
    return {
        "description": f"{text[0].upper()}{text[1:]}.",
        "epilog": _EPILOG,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write a number of seconds") from None
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError("it has to be more than 0")
    return number
