"""When the human behind a browser's session signed in, and whether that is recent enough.

The time is kept in the session itself: ``last_login`` belongs to the human, who may have
signed in on another machine since, and not every user model has it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.utils import timezone

from pikku_auth.conf import conf
from pikku_auth.core.permissions import AUTH, Permissions
from pikku_auth.exceptions import DeviceFlowError

MAX_AGE_FOR_KEYS = timedelta(minutes=15)
"""How old a sign-in may be for a login that manages keys, where ``SIGN_IN_MAX_AGE`` is ``None``."""

SIGNED_IN_AT = "_pikku_auth_signed_in_at"
"""The session's member: seconds since the Unix epoch."""


def note_sign_in(*, request: Any = None, user: Any, **_kwargs: object) -> None:
    """Keep the time of a sign-in in its session. Receives ``user_logged_in``.

    Some packages send that signal when they issue a token to somebody whom the session
    doesn't know: then nothing is kept.
    """
    session = getattr(request, "session", None)
    if session is not None and session.get(SESSION_KEY) == user._meta.pk.value_to_string(user):
        session[SIGNED_IN_AT] = timezone.now().timestamp()


def signed_in_at(session: Any) -> datetime | None:
    """When ``session`` was signed in, or ``None`` if that was before this app was installed."""
    seconds = session.get(SIGNED_IN_AT)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def is_fresh(moment: datetime | None, now: datetime, permissions: Permissions) -> bool:
    """Whether a sign-in at ``moment`` is recent enough to approve a login with ``permissions``.

    That is for ``SIGN_IN_MAX_AGE`` to say, or :data:`MAX_AGE_FOR_KEYS`.
    """
    age = conf.sign_in_max_age
    if age is None and AUTH in permissions:
        age = MAX_AGE_FOR_KEYS
    return age is None or (moment is not None and now - moment <= age)


def require_fresh(moment: datetime | None, now: datetime, permissions: Permissions) -> None:
    """Insist on :func:`is_fresh`, with the error code of RFC 9470.

    :raises DeviceFlowError: ``insufficient_user_authentication``.
    """
    if not is_fresh(moment, now, permissions):
        raise DeviceFlowError(
            "insufficient_user_authentication",
            "You signed in too long ago to approve a login: sign out, and sign in again",
            401,
        )
