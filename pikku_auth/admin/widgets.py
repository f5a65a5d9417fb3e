"""Choosing a service user by typing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect


class ServiceUserSelect(AutocompleteSelect):
    """Searches only while typing. Django's own fails on an initial value that is not a number."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        numbers = [text for text in value if text.isdecimal() and len(text) < 19]
        return super().optgroups(name, numbers, attr)
