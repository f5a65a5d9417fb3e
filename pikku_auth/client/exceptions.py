"""What can go wrong at the client. No message holds a secret; ``exit_code`` is the command's."""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1


class BadUrl(ClientError, ValueError):
    """Not an ``http(s)`` address that could be read in one way only."""


class InsecureUrl(ClientError):
    """Plain ``http`` to something else than this machine."""


class StoreError(ClientError):
    """The file of logins can't be used as it is."""


class Unreachable(ClientError):
    """No answer, or not a whole one. Says nothing about whether the login is still good."""


class BadAnswer(ClientError):
    """The server answered something that this client can't go on with."""


class NotLoggedIn(ClientError):
    """No credential for this server, or the server refused it."""

    exit_code = 4


class LoginExpired(NotLoggedIn):
    """There was a login for this server, and it is over."""


class BadKey(NotLoggedIn):
    """``PIKKU_API_KEY`` is set to something that can't be a key."""


class LoginDenied(ClientError):
    """The human said no."""

    exit_code = 3


class LoginTimedOut(ClientError):
    """The code expired before anyone approved it."""

    exit_code = 3
