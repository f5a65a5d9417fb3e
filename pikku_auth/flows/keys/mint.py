"""Making keys: new ones, and those of another system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.delegation import EVERY, Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.core.permissions import Grant
from pikku_auth.core.secrets import FOREIGN_DIGEST, Secret, generate, stored_form
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.audit import CODE, AuditContext, announce, record
from pikku_auth.flows.database import primary
from pikku_auth.flows.keys import validation
from pikku_auth.flows.keys.validation import Lifetime
from pikku_auth.flows.service_users import get_service_user
from pikku_auth.models import APIKey, AuditEvent, ImportedCredential, ServiceUser


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which exists here and nowhere else.

    ``secret.reveal()`` hands it over; ``repr`` and ``str`` don't show it.
    """

    key: APIKey
    secret: Secret


def mint_key(
    service_user: ServiceUser | str,
    *,
    name: str = "",
    scopes: Grant = (),
    lifetime: Lifetime = "default",
    metadata: Mapping[str, Any] | None = None,
    networks: Iterable[str] = (),
    rate: Rate | None = None,
    quota: int | None = None,
    refill: Rate | None = None,
    delegation: Delegation | None = None,
    context: AuditContext = CODE,
    now: datetime | None = None,
) -> IssuedKey:
    """Make a key of ``service_user`` (or the one of that name).

    ``scopes`` is a list of scope strings, or a mapping; ``rate`` allows so many calls
    in each fixed window; ``quota`` so many in all, set back to ``refill.count`` every
    ``refill.period``; ``networks`` are CIDR strings; ``delegation`` is for a key with scopes such
    as ``auth:mint``, which manages keys itself.

    :raises UnknownServiceUser: when there is no service user of that name.
    :raises InvalidInput: when a value breaks its rule. Nothing is made then.
    """
    using, now = primary(), now or timezone.now()
    owner = active_owner(service_user)
    values = validation.of_key(
        name=name,
        scopes=scopes,
        lifetime=lifetime,
        metadata=metadata,
        networks=networks,
        rate=rate,
        quota=quota,
        refill=refill,
        delegation=delegation,
        now=now,
    )
    _require_known(delegation)
    secret = generate(conf.prefixes.key)
    with transaction.atomic(using=using):
        key = APIKey.objects.using(using).create(
            service_user=owner,
            preview=secret.preview,
            digest=secret.digest,
            created_at=now,
            created_by=context.actor,
            **values,
        )
        tell_minted(key, context, now, using)
    return IssuedKey(key, secret)


def import_key(
    service_user: ServiceUser | str,
    *,
    digest: str,
    preview: str,
    source: str = "",
    context: AuditContext = CODE,
    now: datetime | None = None,
    **options: Any,
) -> APIKey:
    """Take over a key of another system by the SHA-256 or the SHA-512 of its secret, in hex.

    ``preview`` is what people know it by, ``source`` names the other system, and ``options`` are
    those of :func:`mint_key`. The key works in the headers of ``IMPORTED_KEYS``.

    :raises InvalidInput: as :func:`mint_key`, or when the digest is malformed or known.
    """
    using, now = primary(), now or timezone.now()
    owner = active_owner(service_user)
    if not isinstance(digest, str) or not FOREIGN_DIGEST.fullmatch(digest):
        raise InvalidInput(
            "digest",
            _("A digest is the SHA-256 in 64 lower-case hex digits, or the SHA-512 in 128."),
        )
    if not validation.check_text("preview", preview, 32):
        raise InvalidInput("preview", _("A preview has 1 to 32 characters."))
    values = validation.of_key(now=now, **options)
    with transaction.atomic(using=using):
        key, made = APIKey.objects.using(using).get_or_create(
            digest=stored_form(digest),
            defaults={
                "service_user": owner,
                "preview": preview,
                "created_at": now,
                "created_by": context.actor,
                **values,
            },
        )
        if not made:
            known = _("That key is here already, with the id %(pk)s.") % {"pk": key.pk}
            raise InvalidInput("digest", known)
        ImportedCredential.objects.using(using).create(
            source=source, digest=digest, key=key, imported_at=now
        )
        record(AuditEvent.Action.KEY_IMPORTED, context=context, now=now, using=using, key=key)
        announce(signals.key_minted, APIKey, using, key=key, context=context)
    return key


def tell_minted(key: APIKey, context: AuditContext, now: datetime, using: str) -> None:
    """Record and announce a new key. Call it inside its transaction."""
    details: dict[str, Any] = {"parent": key.parent_id} if key.parent_id else {}
    record(
        AuditEvent.Action.KEY_MINTED,
        context=context,
        now=now,
        using=using,
        key=key,
        scopes=key.scopes,
        expires_at=key.expires_at and key.expires_at.isoformat(),
        rotated_from=key.rotated_from_id,
        **details,
    )
    announce(signals.key_minted, APIKey, using, key=key, context=context)


def _require_known(delegation: Delegation | None) -> None:
    """Insist that each service user exists for which the new key is to act."""
    for name in () if delegation is None else delegation.service_users:
        if name != EVERY:
            get_service_user(name)


def active_owner(service_user: ServiceUser | str) -> ServiceUser:
    """The service user of a new key.

    :raises UnknownServiceUser: when there is none of that name.
    :raises InvalidInput: when its keys would not work.
    """
    if not isinstance(service_user, ServiceUser):
        service_user = get_service_user(service_user)
    if not service_user.is_usable:
        raise InvalidInput(
            "service_user",
            _(
                "The service user %(name)s is inactive, so its key would not work: activate "
                "it first, and make sure that its Django user is active, and neither staff "
                "nor a superuser."
            )
            % {"name": service_user},
        )
    return service_user
