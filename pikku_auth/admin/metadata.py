"""Searching metadata as each database keeps it."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import TextField
from django.db.models.lookups import IContains


class MetadataText(TextField):  # type: ignore[type-arg]  # Django's class takes none at run time
    """A JSON column as text."""


@MetadataText.register_lookup
class InJSON(IContains):
    """Search text as JSON stores it: with quotes, and on some databases non-ASCII, escaped."""

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        is_parsed = connection.vendor == "postgresql"  # whose type for JSON keeps no escapes
        written = json.dumps(value, ensure_ascii=not is_parsed)[1:-1]
        return super().get_db_prep_lookup(written, connection)
