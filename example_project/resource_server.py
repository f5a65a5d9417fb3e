"""A resource server of its own: plain WSGI in another process, without Django and its database.

``PIKKU_URL`` is the server that knows the keys, ``PIKKU_API_KEY`` this one's own key with
``auth:introspect``, and with ``auth:introspect_logins`` for people. Run
``python -m example_project.resource_server 8001``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import make_server

from pikku_auth.client import ClientError, Introspector

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

WANTED = "sandbox:read"


def application(introspector: Introspector) -> WSGIApplication:
    """An application that tells callers with the scope who they are."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, told = _judged(introspector, environ)
        start_response(status, [("Content-Type", "application/json"), *headers])
        return [json.dumps(told).encode()]

    return answer


_Judged = tuple[str, list[tuple[str, str]], dict[str, Any]]


def _judged(introspector: Introspector, environ: WSGIEnvironment) -> _Judged:
    token = _presented(environ)
    try:
        caller = introspector.ask(token, environ["REMOTE_ADDR"], count=True) if token else None
    except ClientError as error:
        print(f"Nobody can be let in: {error}", file=sys.stderr)
        return "503 Service Unavailable", [("Retry-After", "5")], {"detail": "Try again later."}
    if caller is None:
        challenge = 'ApiKey realm="sandboxes", Bearer realm="sandboxes"'
        return "401 Unauthorized", [("WWW-Authenticate", challenge)], {"detail": "Who are you?"}
    if not caller.has_scope(WANTED):
        return "403 Forbidden", [], {"detail": f"Missing scope: {WANTED}."}
    return "200 OK", [], {"caller": caller.username, "scopes": caller.scopes}


def _presented(environ: WSGIEnvironment) -> str:
    """The key of a machine, which decides alone, or else the token of a human's login."""
    if "HTTP_X_API_KEY" in environ:
        return str(environ["HTTP_X_API_KEY"])
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def main() -> None:
    """Serve on this machine, on the port that is given, or on a free one."""
    introspector = Introspector(os.environ["PIKKU_URL"], api_key=os.environ["PIKKU_API_KEY"])
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with make_server("127.0.0.1", port, application(introspector)) as server:
        print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
