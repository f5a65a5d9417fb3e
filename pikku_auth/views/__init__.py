"""The views for devices and browsers: OAuth in plain Django, so that no framework reshapes it."""

from __future__ import annotations
