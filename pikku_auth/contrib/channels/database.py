"""Clean up connections around each check: WebSockets get no ``request_finished``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from channels.db import aclose_old_connections, database_sync_to_async

from pikku_auth.flows import last_used


@asynccontextmanager
async def as_in_a_request() -> AsyncIterator[None]:
    """Close connections that are over before and after, and write what was noted."""
    await aclose_old_connections()
    try:
        yield
    finally:
        await _finish()


_finish = database_sync_to_async(last_used.flush_outside_transaction)
