"""The rules: pure functions of their arguments. No Django, no clock, no I/O."""

from __future__ import annotations
