"""The client's fixtures: a home of one's own, and an environment that changes nothing."""

from __future__ import annotations

from tests.client.conftest import home, key, server, store
from tests.client.test_terminal import in_a_terminal

__all__ = ["home", "in_a_terminal", "key", "server", "store"]
