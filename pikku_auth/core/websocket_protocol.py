"""The WebSocket subprotocols that carry a ticket (RFC 6455, 1.9 and 11.3.4).

A browser can set no header of a handshake but this one. A ticket in the URL would be in
every log on the way.
"""

from __future__ import annotations

from collections.abc import Iterable

NAME = "pikku-auth"
"""What the server answers with: a browser wants one of those it has offered."""

_MARK = f"{NAME}.ticket."


def offer(ticket: str) -> list[str]:
    """What a client has to offer, besides subprotocols of its own."""
    return [NAME, f"{_MARK}{ticket}"]


def tickets_in(offered: Iterable[str]) -> list[str]:
    """The tickets that a client presents."""
    return [name.removeprefix(_MARK) for name in offered if name.startswith(_MARK)]


def without_ours(offered: Iterable[str]) -> list[str]:
    """What is left for the application to choose from."""
    return [name for name in offered if name != NAME and not name.startswith(_MARK)]
