"""Choosing service users by typing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple


class _NumbersOnly:
    """Django's own fails on an initial value that is not a number."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        numbers = [text for text in value if text.isdecimal() and len(text) < 19]
        return super().optgroups(name, numbers, attr)  # type: ignore[misc]  # of the widget


class ServiceUserSelect(_NumbersOnly, AutocompleteSelect):
    """One of them; it searches only while somebody types."""


class ServiceUserSelectMultiple(_NumbersOnly, AutocompleteSelectMultiple):
    """Some of them."""
