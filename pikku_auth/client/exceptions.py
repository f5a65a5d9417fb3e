"""What can go wrong at the client. No message holds a secret; ``exit_code`` is the command's."""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1


class WrongUsage(ClientError):
    """Options that don't go together."""

    exit_code = 2


class ReaderGone(Exception):
    """Whoever read the answer has left, as ``head`` does."""

    exit_code: ClassVar[int] = 141  # 128 + SIGPIPE


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


class BadToken(NotLoggedIn):
    """``PIKKU_TOKEN`` is set to something that can't be a token."""


class BadValue(ClientError, ValueError):
    """A value breaks its rule. Nothing was sent."""


class KeyRefused(ClientError):
    """The server refused what was asked of a key; ``code`` and ``field`` are in its words.

    ``retry_after`` is in seconds, where asking again may help.
    """

    def __init__(
        self,
        message: str,
        code: str = "",
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after


class NotAllowed(KeyRefused):
    """The credential is good, and may not do this."""

    exit_code = 4


class KeyNotFound(KeyRefused):
    """There is no such key, or none that may be seen; a revoked one can't be changed."""


class SecretLost(ClientError):
    """A key was made, and nobody has its secret. ``key_id`` is known if the server told it."""

    exit_code = 3

    def __init__(self, message: str, key_id: str | None = None) -> None:
        super().__init__(message)
        self.key_id = key_id


class LoginDenied(ClientError):
    """The human said no."""

    exit_code = 3


class LoginTimedOut(ClientError):
    """The code expired before anyone approved it."""

    exit_code = 3
