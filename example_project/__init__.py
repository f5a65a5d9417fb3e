"""The smallest honest host of pikku_auth: an API for sandboxes."""

from __future__ import annotations
