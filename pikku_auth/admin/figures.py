"""The figures on the page of this app: how many keys live, end soon, and aren't used.

Each is counted to ``MOST`` at most. Refusals are not among them: to keep them, a stranger's request
would have to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.admin.base import managed_by
from pikku_auth.admin.filters import expiring, unused
from pikku_auth.admin.paging import Count, count_of
from pikku_auth.conf import conf
from pikku_auth.models import APIKey, KeyState

EXPIRING_DAYS = 14
UNUSED_DAYS = 90


class Figure(NamedTuple):
    """A number of keys, what it is of, and the address of their list."""

    what: str
    number: Count
    url: str


def figures_of(request: HttpRequest, app_list: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """For whom the site's ``app_list`` lets see keys: those of the machines that they manage."""
    url = _list_of_keys(app_list)
    if url is None:
        return []
    now, rows = timezone.now(), APIKey.objects.all()
    if conf.may_manage is not None:
        rows = rows.filter(service_user__in=managed_by(request))
    live, active = rows.in_state(KeyState.ACTIVE, now), f"{url}?state={KeyState.ACTIVE}"
    return [
        Figure(_("live"), count_of(live), active),
        Figure(
            _("of them, expire within 14 days"),
            count_of(live.filter(expiring(EXPIRING_DAYS, now))),
            f"{active}&expires={EXPIRING_DAYS}",
        ),
        Figure(
            _("of them, not used for 90 days"),
            count_of(live.filter(unused(UNUSED_DAYS, now))),
            f"{active}&used=not{UNUSED_DAYS}",
        ),
    ]


def _list_of_keys(app_list: Iterable[Mapping[str, Any]]) -> str | None:
    """Where the site lists keys; ``None`` if it doesn't, or not for who asks."""
    models = (model for app in app_list for model in app["models"])
    urls = (
        model.get("admin_url")
        for model in models
        if model["model"] is APIKey and model["perms"].get("view")
    )
    return next(urls, None)
