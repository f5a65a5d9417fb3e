"""The device flow's endpoints (RFC 8628)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from pikku_auth.conf import conf
from pikku_auth.core.user_codes import format_user_code
from pikku_auth.exceptions import DeviceFlowError
from pikku_auth.flows.credentials import address_of
from pikku_auth.flows.device_flow import approve, claim, deny, exchange, look_up, start_login
from pikku_auth.flows.device_flow.token import device_code_digest
from pikku_auth.flows.sign_in import signed_in_at
from pikku_auth.http.access import ANYBODY
from pikku_auth.models import DeviceCode
from pikku_auth.views.callers import refuse_keys, signed_in_user
from pikku_auth.views.http import (
    ImmediateResponse,
    WrongBody,
    context_of,
    endpoint,
    oauth_error,
    plain_error,
    read_json,
    read_json_or_form,
    require_fields,
    wrong_fields,
)

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


@endpoint("POST", access=ANYBODY)
def device_code(request: HttpRequest) -> HttpResponse:
    """``POST device/code``: begin a login. ``user_id`` is ignored, whoever sends it."""
    try:
        members = read_json_or_form(request)
    except WrongBody as error:
        raise DeviceFlowError("invalid_request", error.wrong) from None
    if wrong := wrong_fields(members, ["client_id"], ["scope", "user_id"]):
        raise DeviceFlowError("invalid_request", wrong)
    started = start_login(
        members["client_id"], members.get("scope", ""), context=context_of(request)
    )
    user_code = format_user_code(started.user_code.reveal())
    page = conf.device_code.verification_uri
    page = page or request.build_absolute_uri(reverse("pikku_auth:activate"))
    mark = "&" if urlsplit(page).query else "?"
    return JsonResponse(
        {
            "device_code": started.device_code.reveal(),
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}{mark}{urlencode({'user_code': user_code})}",
            "expires_in": started.expires_in,
            "interval": started.interval,
        }
    )


@endpoint("POST", access=ANYBODY)
@sensitive_post_parameters("device_code")
def device_token(request: HttpRequest) -> HttpResponse:
    """``POST device/token``: poll."""
    members = read_json_or_form(request)
    _check_token_request(members)
    digest = device_code_digest(members.pop("device_code"))
    issued = exchange(digest, members["client_id"], context=context_of(request))
    lifetime = issued.login.expires_at - issued.login.created_at
    return JsonResponse(
        {
            "access_token": issued.token.reveal(),
            "token_type": "Bearer",
            "expires_in": int(lifetime.total_seconds()),
            "scope": issued.scope,
        }
    )


@endpoint("GET", "HEAD", access=ANYBODY)
def device(request: HttpRequest) -> HttpResponse:
    """``GET device?user_code=``: look a code up, and claim it for whoever is signed in."""
    # No variable holds the code: an error report shows variables, and hides this key.
    if "user_code" not in request.GET:
        wrong = "[query.user_code] Invalid input: expected string, received undefined"
        return plain_error(400, "VALIDATION_ERROR", wrong)
    user = signed_in_user(request)
    found = look_up(request.GET["user_code"], user=user, ip=address_of(request))
    told = {"user_code": request.GET["user_code"], "status": _told_status(found)}
    if user is not None and claim(found, user):
        return JsonResponse({**told, "client_id": found.client_id, "scope": found.scope or None})
    return JsonResponse(told)


@endpoint("POST")
def device_approve(request: HttpRequest) -> HttpResponse:
    """``POST device/approve``: for the browser's own session, and for nothing else."""
    user, found = _to_decide(request)
    moment = signed_in_at(request.session)
    approve(found, user, signed_in_at=moment, context=context_of(request))
    return JsonResponse({"success": True})


@endpoint("POST")
def device_deny(request: HttpRequest) -> HttpResponse:
    """``POST device/deny``: as ``device/approve``."""
    user, found = _to_decide(request)
    deny(found, user, context=context_of(request))
    return JsonResponse({"success": True})


def _check_token_request(members: dict[str, object]) -> None:
    """Both dialects in one body: RFC 6749's for its clients, the contract's for its own."""
    wrong, error = wrong_fields(members, ["device_code", "client_id"]), "invalid_request"
    if members.get("grant_type") != GRANT_TYPE:
        unexpected = f'[body.grant_type] Invalid input: expected "{GRANT_TYPE}"'
        wrong, error = "; ".join(filter(None, [unexpected, wrong])), "unsupported_grant_type"
    if wrong:
        told = {"error": error, "error_description": wrong}
        told |= {"message": wrong, "code": "VALIDATION_ERROR"}
        raise ImmediateResponse(JsonResponse(told, status=400))


def _to_decide(request: HttpRequest) -> tuple[Any, DeviceCode]:
    refuse_keys(request)
    user = signed_in_user(request)
    members = read_json(request)
    require_fields(members, "userCode")
    if user is None:
        raise ImmediateResponse(
            oauth_error(DeviceFlowError("unauthorized", "Authentication required", 401))
        )
    return user, look_up(members.pop("userCode"), user=user, ip=address_of(request))


def _told_status(found: DeviceCode) -> str:
    """What was decided; that the device has heard of it since is not in the contract."""
    if found.status != DeviceCode.Status.CONSUMED:
        return found.status
    status = DeviceCode.Status
    return (status.APPROVED if hasattr(found, "login") else status.DENIED).value
