"""What is kept of people: forget where from they came, and who they were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pikku_auth.flows.accounts import is_service_user
from pikku_auth.flows.audit import CODE, AuditContext, record
from pikku_auth.flows.database import primary
from pikku_auth.models import AuditEvent, LoginSession
from pikku_auth.models.users import User, username_of

FORGOTTEN = "a forgotten human"
"""What stands in the audit trail in the place of a name."""

_BATCH = 1_000
_LONGEST_SUBJECT = 300
_NOWHERE: dict[str, Any] = {"ip": None, "user_agent": ""}


def forget_human(user: User, *, context: AuditContext = CODE, now: datetime | None = None) -> int:
    """Erase ``user``'s name, addresses and user agents from the audit trail and from their logins.

    What was done stays, and when. Call it before ``user`` is deleted, because then nothing tells
    their events any more. Returns how many events were changed. A machine is none: of a service
    user's Django user nothing is erased.
    """
    using, now = primary(), now or timezone.now()
    if is_service_user(user):
        return 0
    count = 0
    with transaction.atomic(using=using):
        events = list(_events_of(user, using).values_list("pk", flat=True))
        for start in range(0, len(events), _BATCH):
            count += _erase(events[start : start + _BATCH], user, using)
        logins = LoginSession.objects.using(using).filter(user_id=user.pk)
        logins.update(**_NOWHERE, last_used_ip=None)
        action = AuditEvent.Action.HUMAN_FORGOTTEN
        record(action, context=context, now=now, using=using, subject=FORGOTTEN, events=count)
    return count


def events_with_address(before: datetime, using: str) -> QuerySet[AuditEvent]:
    """Events from before that time that say where from."""
    somewhere = Q(ip__isnull=False) | ~Q(user_agent="")
    return AuditEvent.objects.using(using).filter(somewhere, at__lt=before)


def logins_with_address(before: datetime, using: str) -> QuerySet[LoginSession]:
    """Logins that ended before that time, and say where from."""
    ended = Q(revoked_at__lt=before) | Q(expires_at__lt=before)
    somewhere = Q(ip__isnull=False) | ~Q(user_agent="") | Q(last_used_ip__isnull=False)
    return LoginSession.objects.using(using).filter(ended, somewhere)


def erase_addresses(rows: QuerySet[Any], keys: Sequence[Any]) -> int:
    """Erase where from, in the rows of that model with these primary keys, and say in how many."""
    more = {"last_used_ip": None} if rows.model is LoginSession else {}
    return _plain(rows.model, rows.db).filter(pk__in=keys).update(**_NOWHERE, **more)


def _events_of(user: User, using: str) -> QuerySet[AuditEvent]:
    """What ``user`` did, and what happened to their logins, also to those that are gone."""
    about_login = Q(action__startswith="login_", subject__endswith=_end_of(user))
    mine = Q(actor_id=user.pk) | Q(login__user_id=user.pk) | about_login
    return AuditEvent.objects.using(using).filter(mine).order_by("pk")


def _erase(keys: Sequence[int], user: User, using: str) -> int:
    found = _plain(AuditEvent, using).filter(pk__in=keys).select_related("login")
    events = [event for event in found if _is_of(event, user)]
    for event in events:
        event.subject = _without_name(event, user)
        if event.actor_id in (None, user.pk):
            event.ip, event.user_agent = None, ""
        if event.actor_id == user.pk:
            event.actor, event.actor_name = None, FORGOTTEN
    fields = ["subject", "actor", "actor_name", "ip", "user_agent"]
    return _plain(AuditEvent, using).bulk_update(events, fields)


def _without_name(event: AuditEvent, user: User) -> str:
    """The subject, without the name of ``user`` or as much of it as the column could hold."""
    subject, end = event.subject, _end_of(user)
    credential = subject.removesuffix(end)
    is_cut = len(subject) == _LONGEST_SUBJECT and event.action.startswith("login_")
    if credential == subject and is_cut:
        credential, _, cut = subject.rpartition(" of ")
        if not username_of(user).startswith(cut):
            return subject
    return subject if credential == subject else f"{credential} of {FORGOTTEN}"[:_LONGEST_SUBJECT]


def _is_of(event: AuditEvent, user: User) -> bool:
    """Whether it is theirs indeed, and not that of somebody whose name ends alike."""
    if event.actor_id == user.pk or (event.login is not None and event.login.user_id == user.pk):
        return True
    credential = event.subject.removesuffix(_end_of(user))
    return credential != event.subject and (credential.endswith("…)") or " of " not in credential)


def _end_of(user: User) -> str:
    """How the subject of an event about a login of ``user`` ends."""
    return f" of {username_of(user)}"


def _plain(model: Any, using: str) -> QuerySet[Any]:
    """Rows that can be changed: the QuerySet of AuditEvent refuses to."""
    return QuerySet(model, using=using)
