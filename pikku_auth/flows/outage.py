"""A database that is down says nothing about a credential."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError

from pikku_auth.exceptions import Unavailable

logger = logging.getLogger("pikku_auth")


@contextmanager
def outage_is_not_a_refusal() -> Iterator[None]:
    """Turn an outage into :class:`~pikku_auth.exceptions.Unavailable`.

    :raises Unavailable: when the database can't be asked.
    """
    try:
        yield
    except (OperationalError, InterfaceError):
        logger.exception("The database could not be asked about a credential")
        raise Unavailable from None
