"""Choosing a service user by typing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect


class ServiceUserSelect(AutocompleteSelect):
    """Loads what is typed, and nothing else. Django's own breaks on what is no number."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        numbers = [text for text in value if text.isdecimal() and len(text) < 19]
        return super().optgroups(name, numbers, attr)
