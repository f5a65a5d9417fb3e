"""Ending, pausing and finding keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.core.secrets import DIGEST
from pikku_auth.exceptions import InvalidInput, KeyNotFound
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys import family
from pikku_auth.flows.keys.validation import check_name, check_reason
from pikku_auth.models import APIKey, AuditEvent

_LONGEST_PREVIEW = 32


def revoke_key(
    key: APIKey, *, reason: str = "", context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """End ``key`` for good, from the next request on. ``False`` if it had been before.

    The keys that it has minted end with it.

    :raises InvalidInput: when the reason is too long or not readable.
    """
    using, now = primary(), now or timezone.now()
    check_reason(reason)
    with transaction.atomic(using=using):
        rows = APIKey.objects.using(using).filter(pk=key.pk, revoked_at=None)
        revoked = bool(rows.update(revoked_at=now, revoke_reason=reason))
        if revoked:
            children = family.revoke_children(key, now, using)
            tell_revoked(key, reason, context, now, using, children=children)
    if revoked:
        key.revoked_at, key.revoke_reason = now, reason
    else:
        key.refresh_from_db(using=using, fields=["revoked_at", "revoke_reason"])
    return revoked


def enable_key(key: APIKey, *, context: AuditContext = CODE, now: datetime | None = None) -> bool:
    """Let a disabled key work again. ``False`` if it wasn't disabled, or is revoked.

    The keys that it has minted go on, but for those that were disabled themselves.
    """
    return _switch(key, context, now, enabled=True)


def disable_key(key: APIKey, *, context: AuditContext = CODE, now: datetime | None = None) -> bool:
    """Stop ``key`` until it is enabled. ``False`` if it was disabled, or is revoked.

    The keys that it has minted stop with it.
    """
    return _switch(key, context, now, enabled=False)


def rename_key(
    key: APIKey, name: str, *, context: AuditContext = CODE, now: datetime | None = None
) -> bool:
    """Call ``key`` something else. ``False`` if that is its name already.

    :raises InvalidInput: when the name is too long or not readable.
    """
    using, now, before = primary(), now or timezone.now(), key.name
    check_name(name)
    with transaction.atomic(using=using):
        renamed = bool(
            APIKey.objects.using(using).filter(pk=key.pk).exclude(name=name).update(name=name)
        )
        key.name = name
        if renamed:
            action = AuditEvent.Action.KEY_RENAMED
            record(action, context=context, now=now, using=using, key=key, before=before)
    return renamed


def delete_key(key: APIKey, *, context: AuditContext = CODE, now: datetime | None = None) -> None:
    """Forget ``key``. Its audit trail stays.

    :raises InvalidInput: while it is neither revoked nor expired, or there are keys that it has
        minted.
    """
    using, now = primary(), now or timezone.now()
    subject, service_user = f"{key} of {key.service_user}", key.service_user
    with transaction.atomic(using=using):
        over = Q(revoked_at__isnull=False) | Q(expires_at__lte=now)
        try:
            deleted, _rows = APIKey.objects.using(using).filter(over, pk=key.pk).delete()
        except ProtectedError:
            minted = _("The key %(key)s has minted others: delete those first.") % {"key": key}
            raise InvalidInput("key", minted) from None
        if not deleted:
            alive = _("The key %(key)s is still alive: revoke it first.") % {"key": key}
            raise InvalidInput("key", alive)
        record(
            AuditEvent.Action.KEY_DELETED,
            context=context,
            now=now,
            using=using,
            service_user=service_user,
            subject=subject,
        )


def find_key(reference: str | int) -> APIKey:
    """The key with that numeric id, preview or digest.

    :raises KeyNotFound: when there is none or more than one, or a secret was given.
    """
    reference = str(reference)
    if len(reference) > _LONGEST_PREVIEW and not DIGEST.fullmatch(reference):
        raise KeyNotFound(
            "key",
            _(
                "That is neither an id, nor a preview, nor a digest. If it is a secret, it may now "
                "be in your shell's history: name the key by its preview, as list_keys shows it, "
                "and consider rotating it."
            ),
        )
    if not reference.isprintable():
        raise KeyNotFound("key", _no_key(reference))
    match = Q(preview=reference) | Q(digest=reference)
    if reference.isascii() and reference.isdigit() and len(reference) < 19:
        match |= Q(pk=int(reference))
    rows = APIKey.objects.using(primary()).select_related("service_user__user").filter(match)
    # Some databases compare without regard to case, or to trailing spaces.
    first = rows.order_by("pk")[:20]
    found = [key for key in first if reference in (str(key.pk), key.preview, key.digest)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise KeyNotFound("key", _no_key(reference))
    ids = ", ".join(str(key.pk) for key in found)
    ambiguous = _("%(reference)r is ambiguous: name one by its id (%(ids)s).")
    raise KeyNotFound("key", ambiguous % {"reference": reference, "ids": ids})


def _no_key(reference: str) -> str:
    return _("There is no key %(reference)r: list_keys shows them all.") % {"reference": reference}


def tell_revoked(
    key: APIKey,
    reason: str,
    context: AuditContext,
    now: datetime,
    using: str,
    *,
    children: int = 0,
) -> None:
    """Record and announce a key's end, and how many went with it. Call it in its transaction."""
    details: dict[str, Any] = {"children": children} if children else {}
    action = AuditEvent.Action.KEY_REVOKED
    record(action, context=context, now=now, using=using, key=key, reason=reason, **details)
    announce(
        signals.key_revoked,
        APIKey,
        using,
        key=key,
        reason=reason,
        children=children,
        context=context,
    )


def _switch(key: APIKey, context: AuditContext, now: datetime | None, *, enabled: bool) -> bool:
    using, now = primary(), now or timezone.now()
    action, signal = (
        (AuditEvent.Action.KEY_ENABLED, signals.key_enabled)
        if enabled
        else (AuditEvent.Action.KEY_DISABLED, signals.key_disabled)
    )
    with transaction.atomic(using=using):
        rows = APIKey.objects.using(using).filter(pk=key.pk, revoked_at=None, enabled=not enabled)
        changed = bool(rows.update(enabled=enabled))
        if changed:
            key.enabled = enabled
            children = family.switch_children(key, using)
            details: dict[str, Any] = {"children": children} if children else {}
            record(action, context=context, now=now, using=using, key=key, **details)
            announce(signal, APIKey, using, key=key, children=children, context=context)
    key.refresh_from_db(using=using, fields=["enabled"])
    return changed
