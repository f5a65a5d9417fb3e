"""No answer of a guarded operation goes to another caller by way of a cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from pikku_auth.http.error_response import told

_ASKED = "_pikku_auth_asked"


def note_asked(request: HttpRequest) -> None:
    """Remember that what ``request`` is answered depends on its credential.

    And have Django not cache the answer: it may do so before anything could add ``Vary``, in a
    ``decorate_view(cache_page(…))``, or because the API is one of ninja's own.
    """
    setattr(request, _ASKED, True)
    request._cache_update_cache = False  # type: ignore[attr-defined]  # noqa: SLF001  # the name that Django's cache middleware knows


def was_asked(request: HttpRequest) -> bool:
    """Whether ``PikkuNinjaAuth`` ran for this request."""
    return hasattr(request, _ASKED)


def varying(run: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``Operation.run``, sync or async: what depends on the credential says so."""
    if iscoroutinefunction(run):

        @wraps(run)
        async def arun(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return _told(request, await run(request, *args, **kwargs))

        return arun

    @wraps(run)
    def sync_run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _told(request, run(request, *args, **kwargs))

    return sync_run


def _told(request: HttpRequest, response: Any) -> Any:
    return told(response, request) if was_asked(request) else response
