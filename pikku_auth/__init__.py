"""Authenticate machines, and the humans who drive them from a terminal."""

from __future__ import annotations

__version__ = "0.1.0"
