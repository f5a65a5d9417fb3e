"""Sandboxes: what the machines of the example work on."""

from __future__ import annotations
