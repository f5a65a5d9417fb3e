"""Cases for parameters that are proved to be independent elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def in_turn(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows with each value of each column, and not with each combination of them.

    There are as many rows as the longest column has values; the shorter columns begin again.
    """
    rows = max(map(len, columns))
    return [tuple(column[row % len(column)] for column in columns) for row in range(rows)]
