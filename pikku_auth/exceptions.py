"""What can go wrong, as one small tree.

:class:`Refused` is an answer to a caller with a credential: a stable ``code``, a public
wording that gives nothing away, and an HTTP ``status``. :class:`InvalidInput` is an
answer to an operator: what is wrong, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from pikku_auth.conf import conf
from pikku_auth.core.limits import Standing


class PikkuAuthError(Exception):
    """The root of the tree. All of it can be copied and pickled, for another process to raise."""

    code: ClassVar[str]

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own would call __init__ with the message alone.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(error_class: type[PikkuAuthError], args: tuple[Any, ...]) -> PikkuAuthError:
    return error_class.__new__(error_class, *args)


class Refused(PikkuAuthError):
    """A credential was refused. ``str()`` is the public wording, safe to show to anyone.

    ``reason`` is the precise one, for the log and for :data:`pikku_auth.signals.key_refused`,
    never for the caller. ``retry_after`` is in seconds, or ``None`` where waiting won't help.
    """

    status: ClassVar[int]
    detail: ClassVar[str | Promise]
    retry_after: int | None = None

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason or self.code

    def __str__(self) -> str:
        return str(self.detail)


class InvalidKey(Refused):
    """No live key: malformed, unknown, revoked, expired, disabled, or its owner is gone."""

    code = "invalid_key"
    status = 401
    detail = _("Invalid API key.")


class InvalidToken(Refused):
    """No live login session (RFC 6750, 3.1)."""

    code = "invalid_token"
    status = 401
    detail = _("Invalid or expired login.")


class KeyInAuthorization(InvalidToken):
    """An API key is in ``Authorization``, where many other packages want it."""

    detail = _("This is an API key: send it in the header %(header)s, not in Authorization.")

    def __str__(self) -> str:
        return str(self.detail % {"header": conf.key_header})


class LoginInKeyHeader(InvalidKey):
    """A login token is in the key header."""

    detail = _(
        "This is a login token: send it as Authorization: Bearer <token>, not in the header "
        "%(header)s."
    )

    def __str__(self) -> str:
        return str(self.detail % {"header": conf.key_header})


class InvalidTicket(Refused):
    """No good one-time ticket: unknown, used, too old, or its browser's session is over."""

    code = "invalid_ticket"
    status = 401
    detail = _("Invalid or used ticket.")


class OriginNotAllowed(Refused):
    """A page of another site tries to open a WebSocket (RFC 6455, 10.2)."""

    code = "origin_not_allowed"
    status = 403
    detail = _("This site may not connect here.")


class HTTPSRequired(Refused):
    """The credential came over plain HTTP, where others can read it."""

    code = "https_required"
    status = 403
    detail = _("Send this over https. The credential was readable on its way here: replace it.")


class NotAuthenticated(Refused):
    """There is no credential where one is demanded (RFC 6750, 3.1)."""

    code = "not_authenticated"
    status = 401
    detail = _("This needs an API key or a login.")


class TooManyAttempts(Refused):
    """Too many guesses at user codes, or too many codes requested."""

    code = "too_many_attempts"
    status = 429
    detail = _("Too many requests. Please try again later.")

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class DeviceFlowError(PikkuAuthError):
    """A step of the device flow failed (RFC 8628, 3.5; RFC 6749, 5.2).

    ``error`` is the protocol's code, ``description`` its words for people.
    """

    code = "device_flow"

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class NothingGranted(DeviceFlowError):
    """``LOGIN_SCOPES`` gives the user nothing that the login asks for, or no login at all."""

    code = "nothing_granted"

    def __init__(self, description: str) -> None:
        super().__init__("access_denied", description, 403)


class NetworkNotAllowed(Refused):
    """The key is good, but not from the caller's address."""

    code = "network_not_allowed"
    status = 403
    detail = _("This API key may not be used from this network.")


class InsufficientScope(Refused):
    """The credential is good, but does not allow this (RFC 6750, 3.1)."""

    code = "insufficient_scope"
    status = 403

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__()
        self.missing = list(missing)

    def __str__(self) -> str:
        return str(_("Missing scope: %(scopes)s.") % {"scopes": ", ".join(self.missing)})


class MayNot(Refused):
    """The human lacks a permission of Django's, which ``permission`` names."""

    code = "may_not"
    status = 403
    detail = _("You do not have the permission for that.")

    def __init__(self, permission: str) -> None:
        super().__init__()
        self.permission = permission


class NotYourServiceUser(Refused):
    """A service user of that name is not the caller's to manage; perhaps there is none."""

    code = "not_your_service_user"
    status = 403
    detail = _("There is no service user of that name whose keys you manage.")


class BrowserSessionRequired(Refused):
    """A page for people in a browser was asked for with a key or a login's token."""

    code = "browser_session_required"
    status = 403
    detail = _("This page does not accept API keys or login tokens: sign in with a browser.")


class UnscopedView(Refused):
    """The credential is good, but the view demands no scope, so no scope can allow it."""

    code = "unscoped_view"
    status = 403
    detail = _(
        "This view is closed to API keys and to logins with scopes, because it demands no scope. "
        "To open it, have it demand a scope, or mark it with @any_key."
    )


class LimitExceeded(Refused):
    """The key's rate limit or quota is used up (RFC 6585, 4). ``limits`` says what is left."""

    code = "limit_exceeded"
    status = 429
    detail = _("This API key's limit is used up.")

    def __init__(
        self, reason: str, retry_after: int | None, limits: Sequence[Standing] = ()
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.limits = tuple(limits)


class Unavailable(Refused):
    """The database can't be asked, so the credential is neither good nor bad."""

    code = "unavailable"
    status = 503
    detail = _("Authentication is temporarily unavailable.")
    retry_after = 5


class WidenedPermissions(PikkuAuthError):
    """The host's mapping allows more than the credential does: a mistake in its code."""

    code = "widened_permissions"

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(
            f"The mapping allows {', '.join(scopes)}, which the credential does not: a mapping may "
            "narrow permissions, and never widen them."
        )
        self.scopes = list(scopes)


class MappingFailed(PikkuAuthError):
    """The host's mapping raised an error that could be mistaken for a refusal; see ``__cause__``.

    ``MAP_KEY``, ``MAP_LOGIN`` and ``LOGIN_SCOPES`` name such functions.
    """

    code = "mapping_failed"

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"A function named in PIKKU_AUTH raised {type(error).__name__}, which is not an answer "
            "here: return None to reject the caller."
        )


class InvalidInput(PikkuAuthError, ValueError):
    """A value breaks its rule. Nothing was changed."""

    code = "invalid_input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownServiceUser(InvalidInput):
    """There is no service user of that name; ``nearest`` are the names most like it."""

    code = "unknown_service_user"

    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        message = (
            _("There is no service user %(name)r. Did you mean %(nearest)s?")
            if nearest
            else _("There is no service user %(name)r.")
        )
        values = {"name": name, "nearest": _(" or ").join(nearest)}
        super().__init__("service_user", message % values)
        self.name = name
        self.nearest = list(nearest)


class KeyNotFound(InvalidInput):
    """No key has that id, preview or digest, or more than one has."""

    code = "key_not_found"


class KeyNotLive(InvalidInput):
    """The key is revoked, expired, disabled or rotated already, and can't be rotated."""

    code = "key_not_live"


class ServiceUserWanted(InvalidInput):
    """A human has to say whose key it is to be."""

    code = "service_user_wanted"

    def __init__(self) -> None:
        super().__init__("service_user", str(_("Name the service user that the key is for.")))


class ExceedsParent(InvalidInput):
    """A key asks for more, for the key that it makes, than it has itself."""

    code = "exceeds_parent"


class KeyLimitReached(InvalidInput):
    """A key has as many keys alive as it may have."""

    code = "key_limit_reached"

    def __init__(self, parent: Any, most: int) -> None:
        message = _(
            "The key %(key)s has %(most)d keys alive, and may have no more: revoke some, or let "
            "them expire."
        )
        super().__init__("parent", message % {"key": parent, "most": most})


class RequestRepeated(InvalidInput):
    """A request with that id was carried out before; ``key`` is what it made."""

    code = "request_repeated"

    def __init__(self, key: Any) -> None:
        message = _(
            "A request with this id was carried out before and made the key %(key)s. Its secret "
            "was in that answer only: rotate the key if you lost it."
        )
        super().__init__("request_id", message % {"key": key})
        self.key = key


class RequestDiffers(InvalidInput):
    """Another request had that id."""

    code = "request_differs"

    def __init__(self) -> None:
        message = _("Another request had this id: choose a new one for each request.")
        super().__init__("request_id", str(message))


class RequestRunning(InvalidInput):
    """A request with that id is being carried out. ``retry_after`` is in seconds."""

    code = "request_running"

    def __init__(self, retry_after: int) -> None:
        message = _("A request with this id is being carried out.")
        super().__init__("request_id", str(message))
        self.retry_after = retry_after
