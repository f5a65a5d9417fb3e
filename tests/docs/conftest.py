"""The client's fixtures, with a home of one's own, and the shop of docs/customers.md."""

from __future__ import annotations

from tests.client.conftest import home, key, server, store
from tests.client.test_terminal import in_a_terminal
from tests.docs.shop import shop

__all__ = ["home", "in_a_terminal", "key", "server", "shop", "store"]
