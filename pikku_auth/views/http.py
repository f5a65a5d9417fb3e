"""Reading requests and writing answers as the wire contract has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt

from pikku_auth.exceptions import (
    DeviceFlowError,
    HTTPSRequired,
    InvalidKey,
    InvalidToken,
    Refused,
)
from pikku_auth.flows import AuditContext, authenticate
from pikku_auth.flows.credentials import address_of, has_key, has_token, is_exposed
from pikku_auth.flows.database import outage_is_not_a_refusal
from pikku_auth.http.access import HUMAN, Way, declare
from pikku_auth.http.error_response import challenge
from pikku_auth.http.origins import is_trusted, scheme_and_host
from pikku_auth.http.rate_limit import tell_limits

HUMANS: Way = frozenset({HUMAN})
View = Callable[..., HttpResponse]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array"}


class ImmediateResponse(Exception):
    """An answer that ends a view at once."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.response = response


class WrongBody(ImmediateResponse):
    """The response to JSON that is not an object; ``wrong`` says what came."""

    def __init__(self, wrong: str) -> None:
        super().__init__(plain_error(400, "VALIDATION_ERROR", wrong))
        self.wrong = wrong


def endpoint(*methods: str, access: Way | tuple[Way, ...] = HUMANS) -> Callable[[View], View]:
    """Make a view of the wire contract: its methods, its errors, and nothing cached.

    No CSRF token is asked for: a browser's cookie counts only with a trusted ``Origin``.
    Each verb is a transaction of its own, whatever ``ATOMIC_REQUESTS`` says: a count of
    wrong codes must outlive the error that it leads to, and a poll must not lock SQLite.
    ``access`` is what ``manage.py show_access`` says of it.
    """
    ways = access if isinstance(access, tuple) else (access,)

    def decorate(view: View) -> View:
        @csrf_exempt
        @login_not_required
        @wraps(view)
        def wrapped(request: HttpRequest, **parts: str) -> HttpResponse:
            try:
                _check_method(request, methods)
                _check_origin(request)
                _check_transport(request)
                with outage_is_not_a_refusal():
                    response = view(request, **parts)
            except ImmediateResponse as answer:
                response = answer.response
            except DeviceFlowError as error:
                response = oauth_error(error)
            except Refused as refusal:
                response = _refusal(refusal)
            tell_limits(response, request)
            return unstored(response)

        wrapped.handles_own_auth_errors = True  # type: ignore[attr-defined]  # what the middleware asks for
        return outside_atomic_requests(declare(wrapped, *ways, methods=methods))

    return decorate


def outside_atomic_requests(view: View) -> View:
    """Exempt a view from ``ATOMIC_REQUESTS``, on every database."""
    for alias in settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def unstored(response: HttpResponse) -> HttpResponse:
    """Forbid every cache to keep the answer (RFC 6749, 5.1)."""
    response["Cache-Control"] = "no-store"
    response["Pragma"] = "no-cache"
    return response


def context_of(request: HttpRequest, actor: Any = None) -> AuditContext:
    """Who acts, for the audit row: ``actor``, or else the human of the browser's session."""
    user = actor or (request.user if request.user.is_authenticated else None)
    agent = request.META.get("HTTP_USER_AGENT", "")
    return AuditContext(source="web", actor=user, ip=address_of(request), user_agent=agent)


def oauth_error(error: DeviceFlowError) -> HttpResponse:
    """An error in the dialect of OAuth (RFC 6749, 5.2)."""
    body = {"error": error.error, "error_description": error.description}
    return JsonResponse(body, status=error.status)


def plain_error(status: int, code: str, message: str) -> HttpResponse:
    """An error in the other dialect of the contract."""
    return JsonResponse({"message": message, "code": code}, status=status)


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The members of a JSON body.

    :raises ImmediateResponse: 415 for another media type, 400 for what is no JSON object.
    """
    return _members(request) if _media_type(request, [JSON]) else {}


def read_json_or_form(request: HttpRequest) -> dict[str, Any]:
    """The members of a JSON or form body; an empty one counts as absent (RFC 6749, 3.1).

    :raises ImmediateResponse: 415 for another media type, 400 for what is no JSON object.
    :raises DeviceFlowError: ``invalid_request`` when a form repeats a parameter.
    """
    if _media_type(request, [JSON, FORM]) == JSON:
        return _members(request)
    return _form_members(request)


def read_form(request: HttpRequest) -> dict[str, str]:
    """The members of a form; an empty one counts as absent (RFC 6749, 3.1).

    :raises DeviceFlowError: ``invalid_request`` for a body of another media type, one that Django
        doesn't take, and a parameter that is repeated.
    """
    try:
        if request.body and _type_of_body(request) != FORM:
            raise DeviceFlowError("invalid_request", f"Send a form, as {FORM}")
        return _form_members(request)
    except (BadRequest, SuspiciousOperation):
        raise DeviceFlowError("invalid_request", "The form can't be read") from None


def _form_members(request: HttpRequest) -> dict[str, str]:
    found = {}
    for name, values in request.POST.lists():
        given = [value for value in values if value]
        if len(given) > 1:
            raise DeviceFlowError("invalid_request", f"{name} must not be repeated")
        if given:
            found[name] = given[0]
    forget_body(request)
    return found


def in_iso(moment: date) -> str:
    """ISO 8601 in UTC, with milliseconds and ``Z``. A user model may have days for moments."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def forget_body(request: HttpRequest, post: QueryDict | None = None) -> None:
    """Leave ``post`` alone of a body that was read: error reports show what is there."""
    sent: Any = request
    sent.POST = QueryDict() if post is None else post
    sent._body = b""  # noqa: SLF001  # what HttpRequest.body gives once it was read


def wrong_fields(
    members: dict[str, Any], required: Iterable[str], optional: Iterable[str] = ()
) -> str:
    """What is wrong with the types of the fields, in the contract's words; empty for nothing."""
    required = list(required)
    wrong = [
        f"[body.{name}] Invalid input: expected string, received {type_of(members, name)}"
        for name in [*required, *optional]
        if not isinstance(members.get(name), str) and (name in required or name in members)
    ]
    return "; ".join(wrong)


def require_fields(members: dict[str, Any], *names: str) -> None:
    """Insist that the fields are strings.

    :raises ImmediateResponse: 400 otherwise.
    """
    if wrong := wrong_fields(members, names):
        raise ImmediateResponse(plain_error(400, "VALIDATION_ERROR", wrong))


def type_of(members: Mapping[str, Any], name: str) -> str:
    """The type of a member as JavaScript calls it."""
    if name not in members:
        return "undefined"
    value = members[name]
    return "null" if value is None else _JSON_TYPES.get(type(value), "object")


def _members(request: HttpRequest) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        members = json.loads(request.body)
        forget_body(request)
    except (ValueError, RecursionError):
        raise ImmediateResponse(
            plain_error(400, "BAD_REQUEST", "Invalid JSON in request body")
        ) from None
    if not isinstance(members, dict):
        kind = type_of({"body": members}, "body")
        wrong = f"[body] Invalid input: expected object, received {kind}"
        raise WrongBody(wrong)
    return members


def _media_type(request: HttpRequest, allowed: list[str]) -> str:
    if not request.body:  # which a server may still call text/plain, as wsgiref does
        return JSON
    media_type = _type_of_body(request)
    if media_type not in allowed:
        given = request.META.get("CONTENT_TYPE", "")
        message = f'Content-Type "{given}" is not allowed. Allowed types: {", ".join(allowed)}'
        raise ImmediateResponse(plain_error(415, "UNSUPPORTED_MEDIA_TYPE", message))
    return media_type


def _type_of_body(request: HttpRequest) -> str:
    given: str = request.META.get("CONTENT_TYPE", "")
    return given.partition(";")[0].strip().lower()


def _check_method(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        response = HttpResponse(status=404)
        del response["Content-Type"]
        raise ImmediateResponse(response)


def _check_origin(request: HttpRequest) -> None:
    """A browser sends the session's cookie along for any page; only a trusted one may act by it."""
    if request.method in _SAFE_METHODS or not _acts_by_session(request):
        return
    scheme, netloc = scheme_and_host(request.META.get("HTTP_REFERER", ""))
    from_referer = f"{scheme}://{netloc}" if netloc else "null"
    origin = request.META.get("HTTP_ORIGIN", from_referer)
    if origin == "null":
        message = "Missing or null Origin"
        raise ImmediateResponse(plain_error(403, "MISSING_OR_NULL_ORIGIN", message))
    if not is_trusted(origin, request):
        raise ImmediateResponse(plain_error(403, "INVALID_ORIGIN", "Invalid origin"))


def _acts_by_session(request: HttpRequest) -> bool:
    """Whether a session's cookie is what would say who calls, and not another site's script.

    A page can't send a credential in a header to another site, unless that allows it by CORS.
    """
    session: Any = getattr(request, "session", None)
    has_cookie = settings.SESSION_COOKIE_NAME in request.COOKIES
    is_ours = has_key(request) or has_token(request)  # what may be imported may be unknown, too
    return not is_ours and (has_cookie or bool(session and session.session_key))


def _check_transport(request: HttpRequest) -> None:
    """What these endpoints give and take is a credential, also where none is in the headers."""
    if is_exposed(request):
        authenticate(request, source="endpoint")  # logs whose credential was exposed
        raise HTTPSRequired


def _refusal(refusal: Refused) -> HttpResponse:
    if isinstance(refusal, HTTPSRequired):
        return oauth_error(DeviceFlowError("invalid_request", str(refusal), refusal.status))
    if isinstance(refusal, InvalidKey | InvalidToken):
        response = plain_error(401, "UNAUTHORIZED", "Unauthorized")
        response["WWW-Authenticate"] = challenge("Bearer")
        return response
    error, body = "temporarily_unavailable", {}
    if refusal.status == 429:
        error, body = "slow_down", {"message": str(refusal)}  # in the contract's words as well
    body |= {"error": error, "error_description": str(refusal)}
    response = JsonResponse(body, status=refusal.status)
    response["Retry-After"] = response["X-Retry-After"] = str(refusal.retry_after)
    return response
