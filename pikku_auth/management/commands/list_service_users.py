"""``manage.py list_service_users``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count
from django.utils import timezone

from pikku_auth.flows.database import primary
from pikku_auth.management.listing import ListingCommand, Style, iso, pages_of
from pikku_auth.models import APIKey, KeyState, ServiceUser

_STATE = 1


class Command(ListingCommand):
    """List service users."""

    help = "List service users, with how many live keys each has."
    columns = ["NAME", "STATE", "LIVE KEYS", "CEILING", "DESCRIPTION"]
    model = ServiceUser
    first = "make a service user with manage.py create_service_user NAME."

    def handle(self, *args: Any, **options: Any) -> None:
        """List them by name."""
        everyone = ServiceUser.objects.using(primary()).select_related("user")
        pages = pages_of(everyone, "name", "pk", limit=options["limit"])
        found = ((one, live) for page in pages for one, live in _with_live_keys(page))
        if options["format"] == "text":
            self.write_table((_row(*one) for one in found), options, self._styled)
        else:
            self.write_json((_as_json(*one) for one in found), options)

    def _styled(self, row: Sequence[str]) -> tuple[int, Style]:
        return _STATE, self.style.SUCCESS if row[_STATE] == "active" else self.style.WARNING


def _with_live_keys(page: Sequence[ServiceUser]) -> list[tuple[ServiceUser, int]]:
    """Each service user with how many live keys it has."""
    live: Any = APIKey.objects.using(primary()).in_state(KeyState.ACTIVE.value, timezone.now())
    mine = live.filter(service_user__in=page)
    counted = dict(mine.order_by().values_list("service_user_id").annotate(Count("pk")))
    return [(one, counted.get(one.pk, 0)) for one in page]


def _row(one: ServiceUser, live: int) -> list[str]:
    return [one.name, _state(one), str(live), _ceiling(one), one.description]


def _state(one: ServiceUser) -> str:
    if one.is_inactive:
        return "inactive"
    return "privileged" if one.is_privileged else "active"


def _ceiling(one: ServiceUser) -> str:
    return "none is set" if one.scopes is None else " ".join(one.scopes) or "nothing"


def _as_json(one: ServiceUser, live: int) -> dict[str, Any]:
    user: Any = one.user
    return {
        "id": one.pk,
        "name": one.name,
        "state": _state(one),
        "user": user and user.get_username(),
        "ceiling": one.scopes,
        "description": one.description,
        "contacts": one.contacts,
        "live_keys": live,
        "created_at": iso(one.created_at),
    }
