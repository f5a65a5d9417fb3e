"""Warn of keys that end soon, and of keys that nobody uses: once for each key and threshold."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.core.mail import EmailMessage
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone

from pikku_auth import signals
from pikku_auth.core.durations import format_duration, require_positive
from pikku_auth.flows.audit import CODE, AuditContext, announce
from pikku_auth.flows.contacts import checked_contacts
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys.validation import named
from pikku_auth.flows.log import fields
from pikku_auth.flows.mail import message
from pikku_auth.models import APIKey, KeyState, Notice, ServiceUser
from pikku_auth.models.keys import unused_since

logger = logging.getLogger("pikku_auth")

MOST_NAMED = 100
"""Keys that one mail names."""

_HELD = timedelta(minutes=10)
"""For so long nobody else sends a mail that is being sent. Afterwards its sender was killed."""


class Matter(StrEnum):
    """What a warning is about."""

    EXPIRING = "expiring"
    UNUSED = "unused"


class Outcome(StrEnum):
    """What became of a warning. Only one that was told is not given again."""

    TOLD = "told"
    NOBODY = "nobody"
    FAILED = "failed"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Due:
    """A key, and the threshold that it has passed."""

    key: APIKey
    matter: Matter
    threshold: timedelta

    @property
    def about(self) -> str:
        """What tells this warning from others about the same key.

        Its end, or its last use, is in it: whoever uses it once more is told anew.
        """
        moment = self.key.expires_at if self.matter is Matter.EXPIRING else _last_used(self.key)
        return f"{self.matter} {format_duration(self.threshold)} {moment:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning about some keys of one service user, to whom it went, and what became of it."""

    service_user: ServiceUser
    matter: Matter
    keys: list[APIKey]
    contacts: list[str]
    outcome: Outcome
    problem: str = ""


def notify_expiring(
    *,
    within: Sequence[timedelta] = (),
    unused: Sequence[timedelta] = (),
    default_to: Sequence[str] = (),
    dry_run: bool = False,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> Iterator[Warned]:
    """Mail the contacts of each service user about its live keys that end, or lie idle.

    ``within`` are thresholds before the end of a key, and ``unused`` since its last use; the
    closest one that a key has passed counts. ``default_to`` hears where a service user has no
    contacts. After a mail the signal ``key_expiring`` or ``key_unused`` is sent for each key. A
    mail that can't be sent is sent by the next call; with ``dry_run`` none is.

    Nothing is said of a key whose successor is in use, of one that was never to live longer than
    the threshold, or of one that another key has minted, and watches.

    :raises InvalidInput: when a threshold is not positive, or an address is none.
    """
    now, using = now or timezone.now(), primary()
    others = checked_contacts(list(default_to))
    for matter, thresholds in ((Matter.EXPIRING, within), (Matter.UNUSED, unused)):
        with named(matter):
            lengths = [require_positive(threshold) for threshold in thresholds]
        for service_user, keys in _watched(matter, lengths, now, using) if lengths else ():
            new = _not_told(_due(keys, matter, lengths, now), using)
            to = service_user.contacts or others
            if new and not to and not _signal_of(matter).has_listeners(APIKey):
                yield _warned(new, to, Outcome.NOBODY)
            elif new and dry_run:
                yield _warned(new, to, Outcome.DUE)
            elif new:
                yield from _warn(new, to, context, now, using)


def _watched(
    matter: Matter, thresholds: list[timedelta], now: datetime, using: str
) -> Iterator[tuple[ServiceUser, list[APIKey]]]:
    """Each service user with its live keys of which somebody may want to hear."""
    keys = APIKey.objects.using(using).in_state(KeyState.ACTIVE, now)
    if matter is Matter.EXPIRING:
        keys = keys.filter(expires_at__lte=now + max(thresholds))
    else:
        keys = keys.filter(unused_since(now - min(thresholds)))
    without_heir = Q(successor__last_used_at=None) | Q(successor__revoked_at__isnull=False)
    keys = keys.filter(without_heir, parent=None)
    everyone = ServiceUser.objects.using(using).select_related("user").order_by("name")
    for service_user in everyone.filter(pk__in=keys.order_by().values("service_user")):
        own = keys.filter(service_user=service_user).select_related("service_user__user")
        yield service_user, list(own.order_by("pk"))


def _due(
    keys: list[APIKey], matter: Matter, thresholds: list[timedelta], now: datetime
) -> list[Due]:
    """Those of ``keys`` that have passed a threshold."""
    passed = _passed_before_end if matter is Matter.EXPIRING else _passed_since_use
    found = ((key, passed(key, thresholds, now)) for key in keys)
    return [Due(key, matter, threshold) for key, threshold in found if threshold]


def _passed_before_end(key: APIKey, thresholds: list[timedelta], now: datetime) -> timedelta | None:
    end = key.expires_at
    passed = [
        threshold
        for threshold in thresholds
        if end is not None and end - now <= threshold < end - key.created_at
    ]
    return min(passed, default=None)


def _passed_since_use(key: APIKey, thresholds: list[timedelta], now: datetime) -> timedelta | None:
    idle = now - _last_used(key)
    return max((threshold for threshold in thresholds if threshold <= idle), default=None)


def _last_used(key: APIKey) -> datetime:
    return key.last_used_at or key.created_at


def _not_told(due: list[Due], using: str) -> list[Due]:
    told = set(
        Notice.objects.using(using)
        .filter(key__in=[one.key for one in due], held_until=None)
        .values_list("key_id", "about")
    )
    return [one for one in due if (one.key.pk, one.about) not in told]


def _warn(
    due: list[Due], to: list[str], context: AuditContext, now: datetime, using: str
) -> Iterator[Warned]:
    matter = due[0].matter
    holding = [(one, notice) for one in due if (notice := _hold(one, now, using))]
    if not holding:  # another run is at it
        return
    held = [one for one, _ in holding]
    notices = Notice.objects.using(using).filter(pk__in=[notice.pk for _, notice in holding])
    try:
        if to:
            _message(held, to).send()
    except Exception as error:  # whatever the host's mail backend raises
        owner, extra = held[0].key.service_user, fields("mail_not_sent", held[0].key)
        logger.exception("A mail about keys of %s was not sent", owner, extra=extra)
        notices.delete()
        yield _warned(held, to, Outcome.FAILED, type(error).__name__)
        return
    notices.update(held_until=None)
    for one in held:
        threshold = {"within" if matter is Matter.EXPIRING else "unused": one.threshold}
        announce(_signal_of(matter), APIKey, using, key=one.key, context=context, **threshold)
    yield _warned(held, to, Outcome.TOLD)


def _signal_of(matter: Matter) -> Signal:
    return signals.key_expiring if matter is Matter.EXPIRING else signals.key_unused


def _hold(one: Due, now: datetime, using: str) -> Notice | None:
    """The notice of it, if this run is the one to send it."""
    rows, held = Notice.objects.using(using), {"held_until": now + _HELD}
    notice, is_new = rows.get_or_create(key=one.key, about=one.about, defaults=held)
    abandoned = rows.filter(pk=notice.pk, held_until__lte=now)
    return notice if is_new or abandoned.update(**held) else None


def _message(due: list[Due], to: list[str]) -> EmailMessage:
    keys = [one.key for one in due]
    given = {
        "service_user": keys[0].service_user,
        "keys": keys[:MOST_NAMED],
        "count": len(keys),
        "more": len(keys) - MOST_NAMED,
    }
    return message(f"keys_{due[0].matter}", to, given)


def _warned(due: list[Due], to: list[str], outcome: Outcome, problem: str = "") -> Warned:
    keys = [one.key for one in due]
    return Warned(keys[0].service_user, due[0].matter, keys, to, outcome, problem)
