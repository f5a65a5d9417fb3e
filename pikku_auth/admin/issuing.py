"""Handing a new secret over: in the answer to the POST that made it, and never again.

Not in a message, a cookie, the session or a cache; and no cache may keep the answer.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Sequence
from io import StringIO
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pikku_auth.admin.base import WatchingAdmin
from pikku_auth.conf import conf
from pikku_auth.flows import IssuedKey

_USED_FORMS = "pikku_auth_used_forms"
_MOST_REMEMBERED = 50


def page_with(
    modeladmin: WatchingAdmin,
    request: HttpRequest,
    title: Any,
    issued: Sequence[IssuedKey],
    problems: Sequence[str] = (),
) -> HttpResponse:
    """The page that shows new secrets. It is rendered here, so that a failure undoes the keys."""
    response = modeladmin.page(
        request,
        "issued.html",
        title=title,
        issued=issued,
        problems=problems,
        header=conf.key_header,
        try_url=request.build_absolute_uri("/"),
    )
    return _unstored(response.render())


def file_with(issued: Sequence[IssuedKey]) -> HttpResponse:
    """New secrets as a CSV file."""
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(["service_user", "name", "id", "replaces", "key"])
    for one in issued:
        key = one.key
        row = [key.service_user.name, plain(key.name), key.pk, key.rotated_from_id]
        rows.writerow([*row, one.secret.reveal()])
    name = f"keys-{timezone.now():%Y%m%d-%H%M%S}.csv"
    response = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return _unstored(response)


def plain(text: str) -> str:
    """``text`` such that no spreadsheet takes it for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text


def new_form_id() -> str:
    """What tells one filled-in form from another."""
    return uuid.uuid4().hex


def use_once(request: HttpRequest, form_id: str) -> bool:
    """Whether a form comes for the first time: reloading the answer would send it again."""
    used = request.session.get(_USED_FORMS, [])
    if form_id in used:
        return False
    request.session[_USED_FORMS] = [*used, form_id][-_MOST_REMEMBERED:]
    return True


def _unstored(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store, private"
    response["Pragma"] = "no-cache"
    response["Referrer-Policy"] = "no-referrer"
    return response
