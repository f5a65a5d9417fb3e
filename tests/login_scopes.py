"""What a host may set as ``LOGIN_SCOPES``, sync and async."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

GROUP = "sandbox-writers"


class Broken(Exception):
    """What a function may die of."""


def by_group(user: Any) -> list[str]:
    """One scope for everybody, and another for those in a group."""
    is_writer = user.groups.filter(name=GROUP).exists()
    return ["sandbox:read", "sandbox:write"] if is_writer else ["sandbox:read"]


async def aby_group(user: Any) -> list[str]:
    """Asks the database from the event loop."""
    is_writer = await user.groups.filter(name=GROUP).aexists()
    return ["sandbox:read", "sandbox:write"] if is_writer else ["sandbox:read"]


def by_permission(user: Any) -> list[str]:
    """A scope for a permission of Django's."""
    return ["sandbox:read"] if user.has_perm("auth.view_group") else []


async def aby_permission(user: Any) -> list[str]:
    """As above."""
    return await sync_to_async(by_permission)(user)


def only_the_group(user: Any) -> list[str] | None:
    """Others may not log in."""
    return ["sandbox:read"] if user.groups.filter(name=GROUP).exists() else None


async def aonly_the_group(user: Any) -> list[str] | None:
    """As above."""
    return await sync_to_async(only_the_group)(user)


def nobody(user: Any) -> None:
    """Nobody may log in."""
    return


async def anobody(user: Any) -> None:
    """As above."""
    return


def fail(user: Any) -> list[str]:
    """A mistake."""
    raise Broken


async def afail(user: Any) -> list[str]:
    """As above."""
    raise Broken


class AskedWhenCalled:
    """A function that is an object."""

    async def __call__(self, user: Any) -> list[str]:
        return await aby_group(user)


asked_when_called = AskedWhenCalled()
