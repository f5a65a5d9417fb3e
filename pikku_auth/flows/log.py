"""What each record of the logger ``pikku_auth`` says in fields, for programs that read logs.

Every record has every field, ``None`` where it has nothing to say: a formatter may name them.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from pikku_auth.models import APIKey, DeviceCode, LoginSession, SocketTicket

FIELDS = ("reason", "key_id", "service_user", "login_id", "user_id", "ip")


def fields(reason: str, about: Model | None = None, ip: str | None = None) -> dict[str, Any]:
    """The ``extra`` of a record: why it was written, and about which credential, from where.

    Ids and names only, and never a query for them: the database may be what is down.
    """
    return {**dict.fromkeys(FIELDS), **_ids_of(about), "reason": reason, "ip": ip}


def _ids_of(about: Model | None) -> dict[str, Any]:
    match about:
        case APIKey() as key:
            owner = key._state.fields_cache.get("service_user")
            named = {"service_user": owner.name, "user_id": owner.user_id} if owner else {}
            return {"key_id": key.pk, **named}
        case LoginSession() as login:
            return {"login_id": login.pk, "user_id": login.user_id}
        case SocketTicket() as ticket:
            return _ids_of(ticket.key or ticket.login) or {"user_id": ticket.user_id}
        case DeviceCode() as code:
            return {"user_id": code.user_id}
        case _:
            return {}
