"""System checks of what ninja serves. ``docs/checks.md`` has a row for each id."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from ninja.operation import Operation

from pikku_auth.contrib.ninja.api import PikkuNinjaAPI
from pikku_auth.contrib.ninja.auth import PikkuNinjaAuth, guards_of
from pikku_auth.contrib.ninja.operations import operations_of
from pikku_auth.http.routes import routes


def check_apis(**_kwargs: object) -> list[CheckMessage]:
    """Check every operation in the URLconf that ``PikkuNinjaAuth`` guards."""
    served = [operation for route in routes() for operation in operations_of(route.view)]
    guarded = [operation for operation in dict.fromkeys(served) if guards_of(operation)]
    return [*_not_first(guarded), *_not_ours(guarded)]


def _not_first(operations: list[Operation]) -> Iterator[CheckMessage]:
    for operation in operations:
        if not isinstance(operation.auth_callbacks[0], PikkuNinjaAuth):
            yield Error(
                f"PikkuNinjaAuth is not the first in the auth of {_name_of(operation)}: what comes "
                "before it would let in a caller whose key is bad, or lacks the scope.",
                hint="auth=[PikkuNinjaAuth(…), …]",
                id="pikku_auth.E011",
            )


def _not_ours(operations: list[Operation]) -> Iterator[CheckMessage]:
    others = {op.api: op for op in reversed(operations) if not isinstance(op.api, PikkuNinjaAPI)}
    for api, operation in others.items():
        yield CheckWarning(
            f"PikkuNinjaAuth guards {_name_of(operation)}, but its API is a {type(api).__name__}: "
            "its refusals have no headers, and its answers don't vary by the credential.",
            hint="from pikku_auth.contrib.ninja import PikkuNinjaAPI; api = PikkuNinjaAPI(…)",
            id="pikku_auth.W012",
        )


def _name_of(operation: Operation) -> str:
    return f"{operation.view_func.__module__}.{operation.view_func.__name__}"
