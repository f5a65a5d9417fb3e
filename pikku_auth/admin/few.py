"""A few of the keys that there are, and what those of some service users say together.

One service user may have a million, and so may a key that mints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.utils import timezone

from pikku_auth.admin.base import WatchingAdmin
from pikku_auth.admin.display import ago, ahead, some_of, state_of
from pikku_auth.models import APIKey, ServiceUser
from pikku_auth.models.keys import is_live

MOST_OF_ONE = 1_000
"""Keys of one service user that are looked at for a list."""


_SHOWN = 20
"""Keys that a page shows of those that belong to its row."""


def newest_of(modeladmin: WatchingAdmin, keys: QuerySet[Any]) -> list[dict[str, Any]]:
    """The newest of ``keys``, as ``some_keys.html`` shows them."""
    now = timezone.now()
    return [
        {
            "link": modeladmin.link_to(key),
            "state": state_of(key, now),
            "scopes": some_of(key.scopes),
            "last_used": ago(key.last_used_at),
            "expires": ahead(key.expires_at),
        }
        for key in keys.order_by("-pk")[:_SHOWN]
    ]


class _OfFew(Subquery):
    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS few)"


def with_keys(owners: Sequence[Any]) -> Sequence[Any]:
    """``owners``, each with ``counted_keys``, ``live_keys`` and ``used_at``.

    Who has more than ``MOST_OF_ONE`` keys has only the first.
    """
    if not owners:
        return owners
    ids, using = [owner.pk for owner in owners], owners[0]._state.db
    chosen = ServiceUser.objects.using(using).filter(pk__in=ids)
    counts = dict(chosen.values_list("pk", _count_for(using)))
    few = [pk for pk, count in counts.items() if 0 < (count or 0) <= MOST_OF_ONE]
    keys = APIKey.objects.using(using).filter(service_user__in=few).order_by()
    live = Count("pk", filter=is_live(timezone.now()))
    told = {
        pk: (live_keys, used_at)
        for pk, live_keys, used_at in keys.values_list("service_user").annotate(
            live=live, used=Max("last_used_at")
        )
    }
    for owner in owners:
        owner.counted_keys = counts.get(owner.pk) or 0
        owner.live_keys, owner.used_at = told.get(owner.pk, (0, None))
    return owners


def _count_for(using: str) -> Subquery:
    """Up to ``MOST_OF_ONE`` and one more.

    MySQL and MariaDB can't refer from such a query to the row outside: there it is of all.
    """
    keys: QuerySet[Any] = APIKey.objects.filter(service_user=OuterRef("pk")).order_by()
    every = Subquery(keys.values("service_user").annotate(n=Count("pk")).values("n"))
    few = _OfFew(keys.values("pk")[: MOST_OF_ONE + 1])
    return every if connections[using].vendor == "mysql" else few
