"""The session endpoints that a command line needs."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pikku_auth.exceptions import InvalidToken
from pikku_auth.flows import last_used, live_logins, revoke_login, revoke_logins
from pikku_auth.flows.credentials import bearer_of, has_token
from pikku_auth.flows.database import primary
from pikku_auth.flows.login_scopes import grant_to_each
from pikku_auth.flows.logins import token_digest
from pikku_auth.http.access import ANYBODY
from pikku_auth.models import LoginSession
from pikku_auth.models.users import username_of
from pikku_auth.views.callers import bearer_login, caller
from pikku_auth.views.http import (
    context_of,
    endpoint,
    in_iso,
    plain_error,
    read_json,
    require_fields,
)

BY_OWNER = "revoked by its owner"


@endpoint("GET", "HEAD", "POST", access=ANYBODY)
def get_session(request: HttpRequest) -> HttpResponse:
    """``GET get-session``: who the caller is; ``null`` for nobody."""
    if request.method == "POST":
        return plain_error(
            405,
            "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED",
            "POST method requires deferSessionRefresh to be enabled in session config",
        )
    try:
        user, principal = caller(request)
    except InvalidToken:
        return JsonResponse(None, safe=False)
    if principal is None or principal.login is None:
        return JsonResponse({"session": _browser_session(request), "user": _user(user)})
    login = principal.login
    last_used.flush_outside_transaction()
    login.refresh_from_db(using=primary(), fields=["expires_at", "renewed_at"])
    session = {**_session(login), "scopes": principal.scopes, "token": bearer_of(request)}
    return JsonResponse({"session": session, "user": _user(user)})


@endpoint("GET", "HEAD", access=ANYBODY)
def ok(_request: HttpRequest) -> HttpResponse:
    """``GET ok``: that these endpoints are here and answer."""
    return JsonResponse({"ok": True})


@endpoint("POST", access=ANYBODY)
def sign_out(request: HttpRequest) -> HttpResponse:
    """``POST sign-out``: end the caller's login. 200 whatever was presented (RFC 7009, 2.2)."""
    login = bearer_login(request)
    if login is not None:
        revoke_login(login, reason="signed out", context=context_of(request, login.user))
    elif request.user.is_authenticated and not has_token(request):
        logout(request)
    return JsonResponse({"success": True})


@endpoint("GET", "HEAD")
def list_sessions(request: HttpRequest) -> HttpResponse:
    """``GET list-sessions``: the caller's live logins.

    A ``token`` here is the id, which ``revoke-session`` takes: the tokens themselves aren't kept.
    """
    user, _ = caller(request)
    logins = live_logins(user)
    grant_to_each(logins)
    listed = [{**_session(login), "token": str(login.pk)} for login in logins]
    return JsonResponse(listed, safe=False)


@endpoint("POST")
def revoke_session(request: HttpRequest) -> HttpResponse:
    """``POST revoke-session``: end one of the caller's logins, by its token or its id.

    The id may stand in either member: ``list-sessions`` has it in both.
    """
    user, _ = caller(request)
    members = read_json(request)
    if not isinstance(members.get("id"), str):
        require_fields(members, "token")
    named = _named_by(members)
    for login in live_logins(user):
        if named & {login.digest, str(login.pk)}:
            revoke_login(login, reason=BY_OWNER, context=context_of(request, user))
    return JsonResponse({"status": True})


@endpoint("POST")
def revoke_sessions(request: HttpRequest) -> HttpResponse:
    """``POST revoke-sessions``: end all of the caller's logins."""
    user, _ = caller(request)
    revoke_logins(user, reason=BY_OWNER, context=context_of(request, user))
    return JsonResponse({"status": True})


@endpoint("POST")
def revoke_other_sessions(request: HttpRequest) -> HttpResponse:
    """``POST revoke-other-sessions``: end all but the one that calls."""
    user, principal = caller(request)
    login = principal.login if principal else None
    revoke_logins(user, besides=login, reason=BY_OWNER, context=context_of(request, user))
    return JsonResponse({"status": True})


def _named_by(members: dict[str, Any]) -> set[str]:
    """The digest of the token and the ids in a body. The token stays out of what does I/O."""
    token, ident = members.pop("token", None), members.get("id")
    if isinstance(token, str):
        token = token if token.isdecimal() else token_digest(token)
    return {name for name in (token, ident) if isinstance(name, str)}


def _session(login: LoginSession) -> dict[str, Any]:
    return {
        "id": str(login.pk),
        "userId": str(login.user_id),
        "clientId": login.client_id,
        "scopes": login.scopes,
        "ipAddress": login.ip or "",
        "userAgent": login.user_agent,
        "createdAt": in_iso(login.created_at),
        "updatedAt": in_iso(login.renewed_at),
        "expiresAt": in_iso(login.expires_at),
        "maxExpiresAt": login.max_expires_at and in_iso(login.max_expires_at),
    }


def _browser_session(request: HttpRequest) -> dict[str, Any]:
    """Django's own session: it has a cookie, and no token to hand out."""
    user: Any = request.user
    since = getattr(user, "last_login", None) or timezone.now()
    return {
        "id": "browser",
        "token": None,
        "userId": str(user.pk),
        "ipAddress": "",
        "userAgent": request.META.get("HTTP_USER_AGENT", ""),
        "createdAt": in_iso(since),
        "updatedAt": in_iso(since),
        "expiresAt": in_iso(request.session.get_expiry_date()),
    }


def _user(user: Any) -> dict[str, Any]:
    """The user as better-auth has it; our client shows ``username``, as our pages do."""
    username = username_of(user)
    full_name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    joined = in_iso(getattr(user, "date_joined", None) or timezone.now())
    return {
        "id": str(user.pk),
        "name": full_name or username,
        "username": username,
        "email": getattr(user, user.get_email_field_name(), "") or "",
        "emailVerified": False,
        "image": None,
        "createdAt": joined,
        "updatedAt": joined,
    }
