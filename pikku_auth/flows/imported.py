"""Finding what was imported from another system, by the secret that its caller still has."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import Func, TextField, Value
from django.utils import timezone

from pikku_auth.conf import conf
from pikku_auth.core.secrets import foreign_digests, is_converted
from pikku_auth.flows import last_used
from pikku_auth.flows.database import has_search_path, remember_schema
from pikku_auth.models import APIKey, ImportedCredential, LoginSession

_RELATIONS = ("key__service_user__user", "login__user")
_SEARCH_PATH = Func(Value("search_path"), function="current_setting", output_field=TextField())


def imported_digests(text: object) -> tuple[str, ...]:
    """By what a secret of another system may be known here; nothing unless they are looked up."""
    settings = conf.imported_keys
    if settings is None or not settings.is_open(timezone.now()):
        return ()
    return foreign_digests(text, prefixes=conf.prefixes)


def find_imported(digests: tuple[str, ...], *, using: str) -> ImportedCredential | None:
    """What was imported with one of these digests, with its key or login: one SELECT."""
    rows: Any = ImportedCredential.objects.using(using).select_related(*_RELATIONS)
    connection = connections[using]
    if has_search_path(connection):  # by the way: asking alone would cost as much again
        rows = rows.annotate(schema=_SEARCH_PATH)
    found: ImportedCredential | None = rows.filter(digest__in=digests).first()
    if found is not None and found.credential is not None:
        schema = getattr(connection, "schema_name", None)
        remember_schema(found.credential, getattr(found, "schema", schema))
    return found


def note_digest(row: APIKey | LoginSession, digests: tuple[str, ...]) -> None:
    """Have the SHA-256 of a secret be what is kept of it, if it was only known by its SHA-512."""
    if not is_converted(row.digest):
        last_used.note_digest(row, digests[0])


def reread(row: APIKey | LoginSession, *relations: str, using: str) -> Any | None:
    """``row`` as it is now, if what was kept of its secret may have been converted meanwhile."""
    if is_converted(row.digest):
        return None
    rows = type(row)._default_manager.using(using).select_related("__".join(relations))
    return rows.filter(pk=row.pk).first()
