"""Indexes for what the admin searches."""

from __future__ import annotations

from django.db.models import Index


def starts_index(field: str, *, name: str) -> Index:
    """An index that finds how the text in ``field`` begins.

    PostgreSQL uses a plain one for ``LIKE 'x%'`` in the C locale only. Other databases have no
    operator classes, and Django leaves them out there.
    """
    return Index(fields=[field], opclasses=["varchar_pattern_ops"], name=name)
