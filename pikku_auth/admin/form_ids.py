"""A form that mints at most one key, however often and however fast it is sent.

Its id is signed, so that nothing is kept of a form that is never sent. That one is used once,
:mod:`pikku_auth.flows.request_ids` sees to.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.core import signing
from django.http import HttpRequest

_GOOD_FOR = timedelta(hours=12)  # less than a used id is remembered for
_LONGEST = 500


def new_form_id(request: HttpRequest) -> str:
    """A signed id for one form of this member of staff."""
    return signing.dumps(uuid4().hex, salt=_salt(request))


def form_of(request: HttpRequest) -> str | None:
    """The id of the form that was sent, or ``None`` if it is invalid or too old."""
    sent = request.POST.get("form_id", "")
    if len(sent) > _LONGEST:
        return None
    try:
        number: str = signing.loads(sent, salt=_salt(request), max_age=_GOOD_FOR)
    except signing.BadSignature:
        return None
    return number


def _salt(request: HttpRequest) -> str:
    return f"pikku_auth.admin.form_ids:{request.user.pk}"
