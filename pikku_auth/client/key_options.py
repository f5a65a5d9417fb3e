"""The options of ``pikku-auth keys``: those of ``manage.py mint_key`` and its siblings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from pikku_auth.core.arguments import argument
from pikku_auth.core.durations import parse_duration
from pikku_auth.core.limits import MAX_COUNT, parse_rate
from pikku_auth.core.metadata import parse_metadata

NEVER = "never"
STATES = (
    *("active", "exhausted", "suspended", "disabled", "expired", "revoked"),
    *("owner_inactive", "owner_privileged"),
)


def _add_mint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--service", metavar="NAME", help="its service user; default for a key: its own"
    )
    parser.add_argument("--name", default="", help="a name for people")
    parser.add_argument(
        "--scope", action="append", default=[], metavar="RESOURCE:ACTION",
        help="what it may do; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--expires-in", type=argument(_lifetime), default=argparse.SUPPRESS, metavar="30d",
        help="a duration such as 90d, 12h or 1h30m, or never; default: the server's",
    )  # fmt: skip
    parser.add_argument(
        "--metadata", type=argument(parse_metadata), metavar="JSON", help="a JSON object"
    )
    parser.add_argument(
        "--network", action="append", default=[], metavar="CIDR",
        help="where it may be used; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=argument(parse_rate), metavar="100/m", help="calls in each window"
    )
    parser.add_argument(
        "--quota", type=argument(count), metavar="N", help="calls in all, such as 1000"
    )
    parser.add_argument(
        "--refill", type=argument(parse_rate), metavar="1000/1d",
        help="what the quota is set back to, and how often",
    )  # fmt: skip
    parser.add_argument(
        "--for-service", action="append", default=[], metavar="NAME",
        help="another service user whose keys it manages; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--child-metadata", action="append", default=[], metavar="NAME",
        help="a member of metadata that keys minted by it may have; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--max-children", type=argument(count), metavar="N",
        help="keys minted by it that may be alive at a time",
    )  # fmt: skip
    _add_delivery(parser)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", metavar="NAME", help="those of one service user")
    parser.add_argument("--parent", metavar="ID", help="those that this key has minted")
    parser.add_argument("--state", choices=STATES, help="those in one state")
    parser.add_argument(
        "--expiring", type=argument(parse_duration), metavar="14d",
        help="live ones that expire within this time",
    )  # fmt: skip
    parser.add_argument(
        "--unused", type=argument(parse_duration), metavar="90d",
        help="live ones that nobody has used for this long",
    )  # fmt: skip
    parser.add_argument("--revoked", action="store_true", help="revoked ones, too")
    parser.add_argument("--limit", type=argument(count), metavar="N", help="the first N")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, one object a line")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="ID", help="its id")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, one object")


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key", metavar="ID", nargs="?", help="its id; default: the key that is the credential"
    )
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument(
        "--overlap", type=argument(parse_duration), default="24h", metavar="24h",
        help="how long the old key lives on; default: 24h",
    )  # fmt: skip
    ending.add_argument(
        "--revoke-now", "--now", action="store_true",
        help="revoke the old key at once, and the keys that it has minted",
    )  # fmt: skip
    parser.add_argument(
        "--keep-children", action="store_true",
        help="with --revoke-now: the keys that it has minted stay, as its successor's",
    )  # fmt: skip
    _add_no_input(parser)
    _add_delivery(parser)


def _add_revoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", metavar="ID", nargs="+", help="the id of a key")
    parser.add_argument("--reason", default="", help="for the record, up to 200 characters")
    _add_no_input(parser)


def _add_no_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-input", "--noinput", dest="may_ask", action="store_false", help="don't ask"
    )


def _add_delivery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=["text", "json", "env"], default="text",
        help="text: the key alone; json: one object; env: PIKKU_API_KEY=…",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help="write to a new file that only you can read, instead of stdout",
    )  # fmt: skip


ACTS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "mint": ("mint a key, and print it, alone, on stdout", _add_mint),
    "list": ("list keys", _add_list),
    "show": ("show one key, without its secret", _add_show),
    "rotate": ("give a key a new secret, and print it, alone, on stdout", _add_rotate),
    "revoke": ("end keys for good, and the keys that they have minted", _add_revoke),
}


def count(text: str) -> int:
    """Read a whole number above 0.

    :raises ValueError: when it is none.
    """
    if text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) <= MAX_COUNT:
        return int(text)
    raise ValueError("write a whole number above 0")


def _lifetime(text: str) -> timedelta | None:
    return None if text == NEVER else parse_duration(text)
