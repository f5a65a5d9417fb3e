"""Keys over HTTP, as better-auth's API-key plugin has them, on our model: machines have keys.

A service user is the ``organizationId`` of the plugin, by its name, and the ``referenceId`` of a
key's record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from pikku_auth import exceptions as errors
from pikku_auth.exceptions import InvalidInput, NotAuthenticated, Refused
from pikku_auth.flows import AuditContext, authenticate
from pikku_auth.flows.keys import managers
from pikku_auth.flows.keys.managers import Act, Manager
from pikku_auth.flows.keys.rotate import DEFAULT_OVERLAP
from pikku_auth.http.access import HUMAN, Way
from pikku_auth.http.error_response import headers_of
from pikku_auth.models.keys import APIKeyQuerySet
from pikku_auth.views.callers import signed_in_user
from pikku_auth.views.http import (
    ImmediateResponse,
    View,
    context_of,
    endpoint,
    plain_error,
    read_json,
    type_of,
)
from pikku_auth.views.key_records import (
    SERVER_ONLY,
    WIRE_NAMES,
    options_from,
    record_of,
    wrong_types,
)

_MOST_LISTED = 100
_SORTED_BY = {"createdAt": "pk", "name": "name", "expiresAt": "expires_at"}
_REQUEST_ID = re.compile(r"[!-~]{1,255}")
_INTEGER = re.compile(r"[0-9]{1,18}")
_UPDATES = {"keyId", "configId", "name", "enabled", "expiresIn"}

_UNAUTHORIZED = "UNAUTHORIZED", "Unauthorized"
_UNAUTHORIZED_SESSION = "UNAUTHORIZED_SESSION", "Unauthorized or invalid session"
_ORGANIZATION_PERMISSIONS = (
    "You do not have permission to perform this action on organization API keys."
)
_NOT_A_MEMBER = "You are not a member of the organization that owns this API key."

_CODES: dict[type[InvalidInput], tuple[int, str]] = {
    errors.ExceedsParent: (403, "EXCEEDS_PARENT"),
    errors.KeyLimitReached: (403, "KEY_LIMIT_REACHED"),
    errors.KeyNotFound: (404, "KEY_NOT_FOUND"),
    errors.KeyNotLive: (409, "KEY_NOT_LIVE"),
    errors.RequestDiffers: (422, "IDEMPOTENCY_KEY_REUSED"),
    errors.RequestRepeated: (409, "IDEMPOTENCY_KEY_USED"),
    errors.RequestRunning: (409, "IDEMPOTENCY_KEY_IN_USE"),
    errors.ServiceUserWanted: (400, "ORGANIZATION_ID_REQUIRED"),
    errors.UnknownServiceUser: (400, "VALIDATION_ERROR"),
}
_CODES_OF_FIELDS = {
    "name": (400, "INVALID_NAME_LENGTH"),
    "metadata": (400, "INVALID_METADATA_TYPE"),
    "service_user": (403, "INSUFFICIENT_API_KEY_PERMISSIONS"),
}


def _keys_endpoint(
    method: str, *acts: Act, unauthorized: tuple[str, str] = _UNAUTHORIZED
) -> Callable[[Callable[[HttpRequest, Manager], HttpResponse]], View]:
    """Make a view for who manages keys, with the contract's refusals."""
    ways: tuple[Way, ...] = (
        frozenset({HUMAN}),
        *(frozenset({act.scope}) for act in acts),
    )

    def decorate(view: Callable[[HttpRequest, Manager], HttpResponse]) -> View:
        @endpoint(method, access=ways)
        @wraps(view)
        def wrapped(request: HttpRequest) -> HttpResponse:
            try:
                return view(request, _manager(request))
            except InvalidInput as error:
                return _invalid(error)
            except Refused as refusal:
                return _refused(refusal, request, unauthorized)

        return wrapped

    return decorate


@_keys_endpoint("POST", managers.MINT, unauthorized=_UNAUTHORIZED_SESSION)
def create(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``POST api-key/create``: a new key, whose secret is in this answer only."""
    members = _members(request)
    _check_to_create(members)
    issued = managers.mint(
        manager,
        members.get("organizationId"),
        request_id=_request_id(request),
        body=_canonical(members),
        context=_context(request, manager),
        **options_from(members),
    )
    return JsonResponse(record_of(issued.key, issued.secret))


@_keys_endpoint("POST", managers.ROTATE, unauthorized=_UNAUTHORIZED_SESSION)
def rotate(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``POST api-key/rotate``: a successor, whose secret is in this answer only."""
    members = _members(request)
    issued = managers.rotate(
        manager,
        members.get("keyId"),
        overlap=members.get("overlap", DEFAULT_OVERLAP),
        keep_children=members.get("keepChildren", False),
        request_id=_request_id(request),
        body=_canonical(members),
        context=_context(request, manager),
    )
    return JsonResponse(record_of(issued.key, issued.secret))


@_keys_endpoint("GET", managers.READ)
def get(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``GET api-key/get?id=``: one key."""
    pk = request.GET.get("id")
    if pk is None:
        raise _wrong("[query.id] Invalid input: expected string, received undefined")
    return JsonResponse(record_of(managers.key_for(manager, pk, managers.READ)))


@_keys_endpoint("GET", managers.READ)
def list_(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``GET api-key/list``: the keys that the caller may know of, a page of them."""
    managers.require_at_all(manager, managers.READ)
    keys = _chosen(request, manager)
    limit, offset = (_whole_number(request, name) for name in ("limit", "offset"))
    if limit is not None and limit > _MOST_LISTED:
        raise _wrong(f"[query.limit] Too big: expected number to be <={_MOST_LISTED}")
    first = offset or 0
    page = keys[first : first + (_MOST_LISTED if limit is None else limit)]
    told = {"apiKeys": [record_of(key) for key in page], "total": keys.count()}
    given = {"limit": limit, "offset": offset}
    return JsonResponse(told | {name: given[name] for name in given if given[name] is not None})


@_keys_endpoint("POST", managers.RENAME, managers.REVOKE, unauthorized=_UNAUTHORIZED_SESSION)
def update(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``POST api-key/update``: its name, an earlier end, and whether it is enabled."""
    members = _members(request, required="keyId")
    if members.keys() - _UPDATES:
        raise _server_only()
    if not members.keys() & {"name", "enabled", "expiresIn"}:
        raise ImmediateResponse(plain_error(400, "NO_VALUES_TO_UPDATE", "No values to update."))
    if members.get("expiresIn", 1) is None:
        raise ImmediateResponse(_expires_in("LARGE", "An end can only be brought forward."))
    key = managers.update(
        manager,
        members["keyId"],
        name=members.get("name"),
        lifetime=members.get("expiresIn"),
        enabled=members.get("enabled"),
        context=_context(request, manager),
    )
    return JsonResponse(record_of(key))


@_keys_endpoint("POST", managers.REVOKE)
def delete(request: HttpRequest, manager: Manager) -> HttpResponse:
    """``POST api-key/delete``: revoke a key, and those that it has minted. Its record stays."""
    members = _members(request, required="keyId")
    reason = members.get("reason", "revoked over HTTP")
    managers.revoke(manager, members["keyId"], reason=reason, context=_context(request, manager))
    return JsonResponse({"success": True})


def _manager(request: HttpRequest) -> Manager:
    principal = authenticate(request, source="endpoint")
    user = signed_in_user(request) if principal is None else principal.user
    if user is None:
        raise NotAuthenticated
    return managers.manager_of(principal, user)


def _context(request: HttpRequest, manager: Manager) -> AuditContext:
    """Who acts, over which wire: a machine's row names its key."""
    actor = manager.human or (manager.key and manager.key.service_user.user)
    name = f"{manager.key.service_user}, key {manager.key}" if manager.key else ""
    return replace(context_of(request, actor), source="http", actor_name=name)


def _members(request: HttpRequest, required: str = "") -> dict[str, Any]:
    """The members of the body, each of its type.

    :raises ImmediateResponse: 400 otherwise.
    """
    members = read_json(request)
    if type_of(members, "metadata") not in {"object", "null", "undefined"}:
        told = "metadata must be an object or undefined"
        raise ImmediateResponse(plain_error(400, "INVALID_METADATA_TYPE", told))
    if wrong := wrong_types(members, required):
        raise _wrong(wrong)
    if isinstance(seconds := members.get("expiresIn"), int | float) and seconds < 1:
        too_small = "The expiresIn is smaller than the predefined minimum value."
        raise ImmediateResponse(_expires_in("SMALL", too_small))
    return members


def _check_to_create(members: dict[str, Any]) -> None:
    """What the contract refuses of a new key in words of its own."""
    if "userId" in members:
        raise ImmediateResponse(plain_error(401, *_UNAUTHORIZED_SESSION))
    if members.keys() & SERVER_ONLY:
        raise _server_only()
    for one, other in (("Amount", "Interval"), ("Interval", "Amount")):
        if f"refill{one}" in members and f"refill{other}" not in members:
            code = f"REFILL_{one.upper()}_AND_{other.upper()}_REQUIRED"
            told = f"refill{one} is required when refill{other} is provided"
            raise ImmediateResponse(plain_error(400, code, told))
    if ("rateLimitMax" in members) != ("rateLimitTimeWindow" in members):
        raise _wrong("[body.rateLimitMax] rateLimitMax and rateLimitTimeWindow go together")


def _request_id(request: HttpRequest) -> str | None:
    """The header ``Idempotency-Key``.

    :raises ImmediateResponse: 400 if it is empty, too long, or not of visible ASCII.
    """
    given = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if given is not None and not _REQUEST_ID.fullmatch(given):
        raise _wrong("Idempotency-Key has 1 to 255 characters of visible ASCII")
    return given


def _canonical(members: dict[str, Any]) -> str:
    return json.dumps(members, sort_keys=True)


def _chosen(request: HttpRequest, manager: Manager) -> APIKeyQuerySet:
    """The keys that the query asks for, in its order.

    :raises ImmediateResponse: 400 for what it can't ask for.
    """
    keys = managers.keys_of(manager)
    name = request.GET.get("organizationId")
    if name is not None:
        keys = keys.filter(service_user=managers.service_user_for(manager, name, managers.READ))
    elif manager.key is not None:
        keys = keys.filter(service_user=manager.key.service_user)
    parent = _whole_number(request, "parentId")
    if parent is not None:
        keys = keys.filter(parent_id=parent)
    if request.GET.get("includeRevoked") != "true":
        keys = keys.filter(revoked_at=None)
    column = _one_of(request, "sortBy", _SORTED_BY)
    direction = _one_of(request, "sortDirection", {"asc": "", "desc": "-"})
    return keys.order_by(f"{direction}{column}", f"{direction}pk")


def _one_of(request: HttpRequest, name: str, choices: dict[str, str]) -> str:
    """What a parameter stands for; without it, the first choice."""
    given = request.GET.get(name, next(iter(choices)))
    if given not in choices:
        raise _wrong(f"[query.{name}] Invalid option: expected one of {'|'.join(choices)}")
    return choices[given]


def _whole_number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name)
    if given is not None and not _INTEGER.fullmatch(given):
        raise _wrong(f"[query.{name}] Invalid input: expected a whole number")
    return None if given is None else int(given)


def _wrong(message: str) -> ImmediateResponse:
    return ImmediateResponse(plain_error(400, "VALIDATION_ERROR", message))


def _server_only() -> ImmediateResponse:
    told = "The property you're trying to set can only be set from the server auth instance only."
    return ImmediateResponse(plain_error(400, "SERVER_ONLY_PROPERTY", told))


def _expires_in(extreme: str, message: str) -> HttpResponse:
    return plain_error(400, f"EXPIRES_IN_IS_TOO_{extreme}", message)


def _invalid(error: InvalidInput) -> HttpResponse:
    """What a verb did not accept, in the contract's words."""
    field = WIRE_NAMES.get(error.field, error.field)
    if type(error) in _CODES:
        status, code = _CODES[type(error)]
    elif error.field == "lifetime":
        return _expires_in("LARGE", str(error))
    else:
        status, code = _CODES_OF_FIELDS.get(error.field, (400, "VALIDATION_ERROR"))
    body: dict[str, Any] = {"message": str(error), "code": code, "field": field}
    if isinstance(error, errors.RequestRepeated):
        body["apiKey"] = record_of(error.key)
    response = JsonResponse(body, status=status)
    if isinstance(error, errors.RequestRunning):
        response["Retry-After"] = str(error.retry_after)
    return response


def _refused(refusal: Refused, request: HttpRequest, unauthorized: tuple[str, str]) -> HttpResponse:
    """A refusal in the contract's words, with the headers that it has everywhere."""
    if isinstance(refusal, errors.InsufficientScope | errors.MayNot):
        code, told = "INSUFFICIENT_API_KEY_PERMISSIONS", _may_not(refusal)
    elif isinstance(refusal, errors.NotYourServiceUser):
        code, told = "USER_NOT_MEMBER_OF_ORGANIZATION", _NOT_A_MEMBER
    elif refusal.status == 401:
        code, told = unauthorized
    elif refusal.status == 429:
        code, told = "RATE_LIMITED", "Rate limit exceeded."
    elif refusal.status == 503:
        raise refusal
    else:
        code, told = refusal.code.upper(), str(refusal)
    body: dict[str, Any] = {"message": told, "code": code}
    if refusal.status == 429 and refusal.retry_after is not None:
        body["details"] = {"tryAgainIn": refusal.retry_after * 1000}
    response = JsonResponse(body, status=refusal.status)
    for name, value in headers_of(refusal, request).items():
        response[name] = value
    return response


def _may_not(refusal: errors.InsufficientScope | errors.MayNot) -> str:
    """The contract's words, and what is lacking."""
    if isinstance(refusal, errors.MayNot):
        return f"{_ORGANIZATION_PERMISSIONS} The permission {refusal.permission} is missing."
    return f"{_ORGANIZATION_PERMISSIONS} The scope {refusal.missing[0]} is missing."
