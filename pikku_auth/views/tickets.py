"""The endpoint where a page gets a ticket for its WebSocket."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from pikku_auth.core.secrets import Secret
from pikku_auth.core.websocket_protocol import offer
from pikku_auth.exceptions import NotAuthenticated, Refused
from pikku_auth.flows import authenticate
from pikku_auth.flows.tickets import LIFETIME, issue_session_ticket, issue_ticket
from pikku_auth.http.access import USER
from pikku_auth.http.error_response import response_to
from pikku_auth.views.callers import signed_in_user
from pikku_auth.views.http import endpoint


@endpoint("POST", access=frozenset({USER}))
def ws_ticket(request: HttpRequest) -> HttpResponse:
    """``POST ws-ticket``: a one-time ticket for who has a key, a login or a browser's session.

    ``protocols`` is the second argument of a browser's ``WebSocket``.
    """
    try:
        ticket = _issued(request)
    except Refused as refusal:
        return response_to(refusal, request)
    text = ticket.reveal()
    seconds = int(LIFETIME.total_seconds())
    return JsonResponse({"ticket": text, "expires_in": seconds, "protocols": offer(text)})


def _issued(request: HttpRequest) -> Secret:
    principal = authenticate(request, source="endpoint")
    if principal is not None:
        return issue_ticket(principal)
    user = signed_in_user(request)
    if user is None:
        raise NotAuthenticated
    return issue_session_ticket(user, request.session)
