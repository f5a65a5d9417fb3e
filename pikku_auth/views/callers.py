"""Who calls the login endpoints: a bearer, the browser's own session, never a key."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user
from django.http import HttpRequest

from pikku_auth.exceptions import InvalidKey, InvalidToken
from pikku_auth.flows import authenticate
from pikku_auth.flows.credentials import (
    bearer_of,
    has_key,
    has_token,
)
from pikku_auth.flows.logins import find_live_login, token_digest
from pikku_auth.models import LoginSession
from pikku_auth.principal import Principal


def refuse_keys(request: HttpRequest) -> None:
    """A machine's key can't see or touch a human's logins, nor make one.

    :raises InvalidKey: when the key header is there.
    """
    if has_key(request):
        raise InvalidKey("key_at_login_endpoint")


def signed_in_user(request: HttpRequest) -> Any | None:
    """The human whose Django session the browser has, if Django itself still accepts it.

    A request that presents a token is a program's, whatever cookie is beside it: or a stolen
    token could let in another. And who a middleware has made the user counts only if the
    session, with its own password hash and its own backend, says the same.

    :raises InvalidKey: when the key header is there.
    """
    refuse_keys(request)
    if has_token(request) or not hasattr(request, "session"):
        return None
    user = get_user(request)
    return user if user.is_authenticated and user == request.user else None


def bearer_login(request: HttpRequest) -> LoginSession | None:
    """The login that the bearer is good for, or ``None``.

    ``MAP_LOGIN`` and ``LOGIN_SCOPES`` are not asked: a user whom they reject may sign out.
    """
    refuse_keys(request)
    if not has_token(request):
        return None
    return find_live_login(token_digest(bearer_of(request)))


def caller(request: HttpRequest) -> tuple[Any, Principal | None]:
    """The human who calls, and the principal of their login if they call with a bearer.

    A bad bearer token of ours is anonymous, even beside a good cookie.

    :raises InvalidToken: when the caller is anonymous.
    """
    refuse_keys(request)
    principal = authenticate(request, source="endpoint")
    if principal is not None and principal.key is not None:
        raise InvalidKey("key_at_login_endpoint")  # an imported one, in a header of its own
    if principal is not None:
        return principal.user, principal
    user = signed_in_user(request)
    if user is None:
        raise InvalidToken
    return user, None
