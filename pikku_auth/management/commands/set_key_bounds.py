"""``manage.py set_key_bounds ID… --network CIDR``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from pikku_auth.core.arguments import argument
from pikku_auth.core.limits import parse_rate
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import Bounds, find_key, get_service_user, set_key_bounds
from pikku_auth.flows.database import primary
from pikku_auth.management.base import PikkuCommand, count
from pikku_auth.models import APIKey

_UNBOUNDED: dict[str, tuple[str, Any]] = {
    "networks": ("any_network", []),
    "rate": ("no_rate", None),
    "quota": ("no_quota", None),
    "refill": ("no_refill", None),
}


class Command(PikkuCommand):
    """Change from where, and how often, live keys may be used."""

    help = (
        "Change from where, and how often, live keys may be used, from the next request on. What "
        "is not named stays. Scopes and metadata need a new key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys, and the new bounds."""
        parser.add_argument(
            "keys", metavar="ID", nargs="*", help="The id of a key, its preview, or its digest."
        )
        parser.add_argument(
            "--service", metavar="NAME", help="Every live key of one service user instead."
        )
        networks, rate, quota, refill = (parser.add_mutually_exclusive_group() for _ in range(4))
        networks.add_argument(
            "--network", action="append", metavar="CIDR", dest="networks",
            help="Where they may be used; repeatable. Takes the place of all that were.",
        )  # fmt: skip
        rate.add_argument(
            "--rate", type=argument(parse_rate), metavar="100/m", help="Calls in each window."
        )
        quota.add_argument(
            "--quota", type=argument(count), metavar="N", help="Calls that are left, such as 1000."
        )
        refill.add_argument(
            "--refill", type=argument(parse_rate), metavar="1000/1d",
            help="What the quota is set back to, and how often, counted from now.",
        )  # fmt: skip
        for group, option, help_text in (
            (networks, "--any-network", "They may be used from anywhere."),
            (rate, "--no-rate", "As many calls in a window as they like."),
            (quota, "--no-quota", "As many calls in all as they like."),
            (refill, "--no-refill", "The quota is never set back."),
        ):
            group.add_argument(option, action="store_true", help=help_text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change all of them or, if one can't be changed, none."""
        bounds = _asked(options)
        with transaction.atomic(using=primary()):
            for key in _chosen(options):
                whose = f"{key} of {key.service_user}"
                try:
                    changed = set_key_bounds(key, context=self.context, **bounds)
                except InvalidInput as error:
                    raise CommandError(f"{whose}: {error} Nothing was changed.") from None
                done = "Changed" if changed else "Nothing to change for"
                self.note(f"{done} {whose}: {_told(key)}.", options)


def _asked(options: dict[str, Any]) -> Bounds:
    bounds: Any = {name: options[name] for name in _UNBOUNDED if options[name] is not None}
    bounds |= {name: value for name, (option, value) in _UNBOUNDED.items() if options[option]}
    if not bounds:
        raise CommandError(
            "What is to change? Name --network, --any-network, --rate, --no-rate, --quota, "
            "--no-quota, --refill or --no-refill.",
            returncode=2,
        )
    asked: Bounds = bounds
    return asked


def _chosen(options: dict[str, Any]) -> list[APIKey]:
    if bool(options["keys"]) + bool(options["service"]) != 1:
        raise CommandError("Which keys? Name their ids, or --service NAME.", returncode=2)
    if options["keys"]:
        return [find_key(reference) for reference in dict.fromkeys(options["keys"])]
    owner = get_service_user(options["service"])
    keys = APIKey.objects.using(primary()).select_related("service_user__user")
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return list(keys.filter(alive, service_user=owner, revoked_at=None).order_by("pk"))


def _told(key: APIKey) -> str:
    calls = [f"at most {key.rate}"] if key.rate else []
    if key.remaining is not None:
        back = f", set back to {key.refill}" if key.refill else ""
        calls.append(f"{key.remaining} calls left{back}")
    return "; ".join([f"from {', '.join(key.networks) or 'anywhere'}", *calls])
