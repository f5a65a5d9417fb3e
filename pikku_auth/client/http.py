"""A requests Session that is careful with whom it talks to, and for how long."""

from __future__ import annotations

import copy
from typing import Any

import requests
from requests import PreparedRequest, Request, Response
from requests.auth import AuthBase

from pikku_auth.client.auth import PikkuAuth, drop_credentials
from pikku_auth.client.environment import KEY_HEADER
from pikku_auth.client.origins import origin_of, safe_origin_of

TIMEOUT = (5.0, 30.0)
"""Seconds: to connect, and between two pieces of an answer."""


class Anonymous(AuthBase):
    """No credential. It is there because requests asks ``.netrc`` when there is no auth."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class Session(requests.Session):
    """``requests.Session`` with :class:`PikkuAuth`, for the whole life of a program.

    It never reads ``.netrc``, never talks plain ``http`` except to this machine, goes to
    this machine without a proxy, has timeouts, and takes no credential to another origin.
    ``key_header`` is for the :class:`PikkuAuth` that it makes without ``auth``.
    """

    def __init__(self, auth: AuthBase | None = None, *, key_header: str | None = None) -> None:
        super().__init__()
        self.auth = PikkuAuth(key_header=key_header) if auth is None else auth

    def prepare_request(self, request: Request) -> PreparedRequest:
        request = copy.copy(request)
        auth = request.auth or self.auth or Anonymous()
        request.auth = auth.attach if isinstance(auth, PikkuAuth) else auth
        return super().prepare_request(request)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        if origin_of(prepared_request.url) != origin_of(response.request.url):
            drop_credentials(prepared_request.headers, getattr(self.auth, "key_header", KEY_HEADER))

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        if safe_origin_of(request.url).is_loopback:
            kwargs["proxies"] = {}
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = TIMEOUT
        return super().send(request, **kwargs)
