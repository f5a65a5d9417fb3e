"""Handing a new secret over: in the answer to the POST that made it, and never again.

Not in a message, a cookie, the session or a cache; and no cache may keep the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse

from pikku_auth.admin.base import WatchingAdmin
from pikku_auth.conf import conf
from pikku_auth.flows import IssuedKey
from pikku_auth.models import APIKey


@dataclass(frozen=True)
class Shown:
    """A new key as the template gets it: ``mark`` stands where its secret will be."""

    key: APIKey
    mark: str


def page_with(
    modeladmin: WatchingAdmin,
    request: HttpRequest,
    title: Any,
    issued: Sequence[IssuedKey],
    problems: Sequence[str] = (),
) -> HttpResponse:
    """The page that shows new secrets. It is rendered here, so that a failure undoes the keys.

    The secrets are put in last: no frame of a template that fails holds one.
    """
    path = _path_to_try()
    shown = [Shown(one.key, f"secret-{uuid4().hex}") for one in issued]
    response = modeladmin.page(
        request,
        "issued.html",
        title=title,
        issued=shown,
        problems=problems,
        header=conf.key_header,
        try_path=path,
        try_url=request.build_absolute_uri(path or "/"),
    ).render()
    _save_session(request)
    for one, place in zip(issued, shown, strict=True):
        mark = place.mark.encode()
        response.content = response.content.replace(mark, one.secret.reveal().encode())
    return _unstored(response)


def _path_to_try() -> str:
    """Where any key may ask who it is; empty if the host has not mounted our URLs."""
    try:
        return reverse("pikku_auth:whoami")
    except NoReverseMatch:
        return ""


def _save_session(request: HttpRequest) -> None:
    """Save what the middleware would after the commit: if it can't be, nothing was issued."""
    if request.session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        try:
            request.session.save()
        except UpdateError:
            raise SessionInterrupted("The session ended meanwhile: sign in again.") from None


def _unstored(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store, private"
    response["Pragma"] = "no-cache"
    response["Referrer-Policy"] = "no-referrer"
    return response
