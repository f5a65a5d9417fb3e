"""Calling the functions that a host names in its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404

from pikku_auth.exceptions import MappingFailed, Refused

Hook = Callable[..., Any]

_ANSWERS = (Http404, PermissionDenied, SuspiciousOperation, BadRequest, Refused)


def is_async(hook: Hook) -> bool:
    """Whether ``hook`` is a coroutine function, or an object with an ``async`` call."""
    return iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__)


def call(hook: Hook, *args: object) -> Any:
    """The hook's result. A coroutine runs on the event loop that waits for this thread, if any.

    :raises MappingFailed: when it raises what some integrations would take for an answer.
    """
    run = async_to_sync(hook) if is_async(hook) else hook
    with errors_surface():
        return run(*args)


@contextmanager
def errors_surface() -> Iterator[None]:
    """Make every error in a hook a 500.

    Otherwise some would be a 404 or 403 in one integration and a crash in another. REST
    framework's exceptions are recognised by ``status_code``.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, _ANSWERS) or hasattr(error, "status_code"):
            raise MappingFailed(error) from error
        raise
