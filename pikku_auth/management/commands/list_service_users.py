"""``manage.py list_service_users``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count
from django.utils import timezone

from pikku_auth.flows.database import primary
from pikku_auth.management.listing import ListingCommand, Style, iso
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
        everyone = ServiceUser.objects.using(primary()).select_related("user").order_by("name")
        found, live = list(everyone[: options["limit"]]), _live_keys()
        if options["format"] == "json":
            self.write_json(_as_json(one, live.get(one.pk, 0)) for one in found)
        else:
            rows = [_row(one, live.get(one.pk, 0)) for one in found]
            self.write_table(rows, options, self._styled)

    def _styled(self, row: Sequence[str]) -> tuple[int, Style]:
        return _STATE, self.style.SUCCESS if row[_STATE] == "active" else self.style.WARNING


def _live_keys() -> dict[int, int]:
    """How many live keys each service user has, by its id."""
    live: Any = APIKey.objects.using(primary()).in_state(KeyState.ACTIVE.value, timezone.now())
    counted = live.order_by().values_list("service_user_id").annotate(Count("pk"))
    return dict(counted)


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
        "live_keys": live,
        "created_at": iso(one.created_at),
    }
